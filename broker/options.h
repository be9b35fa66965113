#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace iotcore::broker {

// Limits and settings of the broker; the defaults are the profile `extended` (mqtt.md 12). Configuration keys: mqtt.*.
struct BrokerOptions {
  std::size_t packet_bytes_max = (1U << 20) + (64U << 10);
  std::size_t client_id_bytes_max = 1024;
  std::size_t topic_bytes_max = 4096;
  std::size_t topic_levels_max = 128;
  std::size_t filters_per_subscribe_max = 1000;
  std::size_t subscriptions_per_client_max = 10'000;
  std::uint16_t receive_maximum = 1000;      // unacknowledged QoS 1 publishes taken from a client
  std::uint16_t inflight_max = 1000;         // unacknowledged QoS 1 publishes sent to a client
  std::size_t queued_messages_max = 10'000;  // waiting behind the inflight window, per session
  std::size_t queued_bytes_max = 16U << 20;
  std::size_t out_buffer_bytes_max =
      8U << 20;  // above it, QoS 0 for this connection is dropped and counted
  std::uint16_t topic_alias_maximum = 64;
  std::uint16_t keep_alive_s_max = 65'535;  // lower: sent to v5 clients as Server Keep Alive
  std::size_t retained_messages_max = 1'000'000;
  std::size_t topic_cache_entries = 4096;    // hot topics per worker; a power of two, or 0 for none
  bool hash_matches_parent = true;           // `a/#` matches `a`
  bool disconnect_on_publish_denied = true;  // false: drop, and acknowledge
  std::string region = "us-east-1";
  std::string account = "000000000000";
};

}  // namespace iotcore::broker
