#include "base/ids.h"

#define XXH_INLINE_ALL  // it is called for every message
#include <xxhash.h>

namespace iotcore {

std::uint64_t stable_hash(std::string_view name) { return XXH3_64bits(name.data(), name.size()); }

}  // namespace iotcore
