#include "broker/connect_admission.h"

#include "base/ids.h"
#include "base/memory_use.h"

#include <algorithm>

namespace iotcore::broker {

ConnectAdmission::ConnectAdmission(const BrokerOptions& options, std::size_t workers)
    : options_(options),
      rate_(
          options.connects_per_s_max == 0
              ? 0
              : std::max<std::uint32_t>(
                    options.connects_per_s_max / static_cast<std::uint32_t>(workers), 1
                )
      ) {}

std::optional<ConnectAdmission::Refusal> ConnectAdmission::check(
    const mqtt::ConnectView& connect, MonotonicTime now
) {
  if (options_.redirect != Redirect::kOff) {
    const bool for_good = options_.redirect == Redirect::kPermanent;
    return Refusal{
        for_good ? mqtt::Reason::kServerMoved : mqtt::Reason::kUseAnotherServer,
        "another server serves this client"};
  }
  if (MemoryUse::level() == MemoryUse::Level::kFull) {
    return Refusal{mqtt::Reason::kQuotaExceeded, "the server's memory is in use", Limit::kMemory};
  }
  if (connect.properties.number_or(mqtt::Property::kMaximumPacketSize, UINT32_MAX) <
      options_.client_packet_bytes_min) {
    return Refusal{
        mqtt::Reason::kQuotaExceeded, "the Maximum Packet Size is too small", Limit::kClientPacket};
  }
  if (rate_ != 0 && !all_.try_take(now, 1, rate_)) {
    return Refusal{
        mqtt::Reason::kConnectionRateExceeded,
        "too many connections a second",
        Limit::kConnectRate};
  }
  if (options_.connects_per_s_of_client_max != 0 && !connect.client_id.empty() &&
      !within_rate_of(connect.client_id, now)) {
    return Refusal{
        mqtt::Reason::kQuotaExceeded,
        "too many connections a second of this client",
        Limit::kConnectRateOfClient};
  }
  return std::nullopt;
}

bool ConnectAdmission::within_rate_of(std::string_view client_id, MonotonicTime now) {
  // Who has the whole burst again is as good as unknown.
  constexpr auto kSweepEvery = std::chrono::seconds(1);
  if (now >= next_sweep_) {
    next_sweep_ = now + kSweepEvery;
    std::erase_if(of_client_, [now](const auto& each) { return each.second.is_idle(now); });
  }
  return of_client_[stable_hash(client_id)].try_take(now, 1, options_.connects_per_s_of_client_max);
}

}  // namespace iotcore::broker
