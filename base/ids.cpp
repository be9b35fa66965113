#include "base/ids.h"

#include <xxhash.h>

namespace iotcore {

std::uint64_t stable_hash(std::string_view name) { return XXH3_64bits(name.data(), name.size()); }

}  // namespace iotcore
