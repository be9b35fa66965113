#pragma once

#include "base/clock.h"
#include "base/rate_limit.h"
#include "broker/limits.h"
#include "broker/mqtt/packet.h"
#include "broker/options.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>

namespace iotcore::broker {

// Whether one more CONNECT is taken, before anything is asked about who sent it: redirection, memory, rates. One per worker.
class ConnectAdmission {
 public:
  // Of the rate of all clients, each of `workers` workers has its share.
  ConnectAdmission(const BrokerOptions& options, std::size_t workers);

  struct Refusal {
    mqtt::Reason reason = mqtt::Reason::kQuotaExceeded;
    const char* why = nullptr;
    std::optional<Limit> limit = {};
  };

  std::optional<Refusal> check(const mqtt::ConnectView& connect, MonotonicTime now);

 private:
  bool within_rate_of(std::string_view client_id, MonotonicTime now);

  const BrokerOptions& options_;
  const std::uint32_t rate_;
  RateLimit all_;
  std::unordered_map<std::uint64_t, RateLimit> of_client_;  // by hash of the client id
  MonotonicTime next_sweep_ = {};
};

}  // namespace iotcore::broker
