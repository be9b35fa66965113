#pragma once

#include "base/clock.h"

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace iotcore::broker {

class WorkerBroker;

// Statistics as messages on `$SYS/broker/…`, named as mosquitto names them, on request (mqtt.sys_topics_interval_s): what has changed is published
// every so often and kept, in memory only, for those who subscribe later. Lives on the first worker and asks the others by message.
class SysTopics {
 public:
  explicit SysTopics(WorkerBroker& worker);

  // Once a second.
  void tick();

 private:
  // Of one worker, or of all.
  struct Totals {
    std::uint64_t connected = 0;
    std::uint64_t disconnected = 0;  // with a session that waits for them
    std::uint64_t expired = 0;
    std::uint64_t subscriptions = 0;
    std::uint64_t received = 0;
    std::uint64_t delivered = 0;
    std::uint64_t dropped = 0;
    std::uint64_t connects = 0;
    std::uint64_t bytes_received = 0;
    std::uint64_t bytes_sent = 0;
  };

  // A rate per minute over the last 1, 5 and 15 minutes, the older the less it counts.
  struct Load {
    std::string_view name;
    std::uint64_t last = 0;
    std::array<double, 3> per_minute = {};
  };

  static Totals totals_of(WorkerBroker& worker);
  void add(const Totals& totals);
  void publish_all();
  void publish_load(Load& load, std::uint64_t total, double minutes);
  void publish(std::string_view name, std::string value);

  WorkerBroker& worker_;
  MonotonicTime started_;
  MonotonicTime next_;
  MonotonicTime last_published_;
  Totals totals_;
  std::size_t answers_missing_ = 0;
  std::uint64_t connected_max_ = 0;
  std::array<Load, 6> loads_;
  std::map<std::string, std::string, std::less<>> published_;
};

}  // namespace iotcore::broker
