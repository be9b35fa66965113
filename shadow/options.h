#pragma once

#include "shadow/document/limits.h"

#include <chrono>
#include <cstddef>

namespace iotcore::shadow {

// Limits and settings of the service. Configuration keys: shadow.*.
struct ServiceOptions {
  document::Limits document;
  // Documents in memory, of all workers together. Those with requests under way are counted but stay.
  std::size_t cache_bytes_max = std::size_t{512} << 20;
  // Requests of one shadow that wait for the store. AWS allows 10; a burst of a fleet's backend is larger.
  std::size_t waiting_requests_max = 10'000;
  // Requests, documents and answers of one worker that wait for the store.
  std::size_t waiting_bytes_max = std::size_t{64} << 20;
  // For how long a shadow that is made anew goes on counting its versions.
  std::chrono::seconds tombstone_life = std::chrono::hours(48);
  std::size_t page_default = 25;
  std::size_t page_max = 100;
};

}  // namespace iotcore::shadow
