#pragma once

#include "base/ids.h"

namespace iotcore::shadow {

using ShadowName = StrongString<struct ShadowNameTag>;

struct ShadowId {
  ThingName thing;
  ShadowName shadow;  // empty: the classic one
};

}  // namespace iotcore::shadow
