#include "broker/hash_seed.h"

#include <random>

namespace iotcore::broker {

std::uint64_t random_hash_seed() {
  std::random_device random;
  return (static_cast<std::uint64_t>(random()) << 32U) | random();
}

}  // namespace iotcore::broker
