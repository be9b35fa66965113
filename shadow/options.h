#pragma once

#include "shadow/document/settings.h"

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string>

namespace iotcore::shadow {

// What is set for the shadows of all things, or of the things of one type. As it stands: as AWS does it.
struct ShadowSettings {
  document::Settings document = {};
  // Versions of a shadow that are kept besides the current one's place: the last ones, the current among them. 0: none.
  std::size_t history_versions = 0;
  // For how long nothing may be reported, or desired may not be reached, before that is told. 0: it is not told.
  std::chrono::seconds stale_after{0};
  std::chrono::seconds overdue_after{0};

  bool is_watched() const { return stale_after.count() != 0 || overdue_after.count() != 0; }
};

// Limits and settings of the service. Configuration keys: shadow.*.
struct ServiceOptions {
  ShadowSettings settings;
  // Of things of these types instead.
  std::map<std::string, ShadowSettings, std::less<>> by_thing_type;
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
