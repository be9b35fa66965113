#pragma once

#include "shadow/document/limits.h"

#include <memory>

namespace iotcore::shadow::document {

class JsonSchema;

// How updates of a shadow are judged and answered. As it stands: as AWS does it.
struct Settings {
  Limits limits = {};
  // A delta is published only when it is another one than before the update.
  bool delta_on_change = false;
  // Documents know since when their sections differ.
  bool difference_tracked = false;
  // Of each section, checked when an update names it. Shared by the settings of several thing types.
  std::shared_ptr<const JsonSchema> desired_schema = nullptr;
  std::shared_ptr<const JsonSchema> reported_schema = nullptr;
};

}  // namespace iotcore::shadow::document
