#pragma once

#include <cstdint>

namespace iotcore::broker {

// For tables whose keys clients choose, and may want to collide: another one at each call.
std::uint64_t random_hash_seed();

}  // namespace iotcore::broker
