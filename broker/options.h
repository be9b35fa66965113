#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace iotcore::broker {

// How a shared subscription picks the member that gets a message.
enum class ShareStrategy : std::uint8_t { kLeastLoaded, kRoundRobin };

// What happens to publishes above a client's rate: they wait in the socket, or those of QoS 0 are dropped and of QoS 1 left unanswered, as AWS does.
enum class OverRate : std::uint8_t { kSlowDown, kDrop };

// Whether who connects is sent elsewhere (MQTT5 4.13, Server Reference).
enum class Redirect : std::uint8_t { kOff, kTemporary, kPermanent };

// What goes when a session's queue is full.
enum class QueueOverflow : std::uint8_t { kDropNewest, kDropOldest };

// Limits and settings of the broker; the defaults are the profile `extended` (mqtt.md 12). Configuration keys: mqtt.*.
struct BrokerOptions {
  // Packets and what is in them.
  std::size_t packet_bytes_max = (1U << 20) + (64U << 10);
  std::size_t payload_bytes_max = 256U << 20;  // whatever a packet can hold
  std::size_t client_id_bytes_max = 1024;
  std::size_t topic_bytes_max = 4096;
  std::size_t topic_levels_max = 128;
  std::size_t share_name_bytes_max = 128;
  std::size_t content_type_bytes_max = 65'535;
  std::size_t correlation_data_bytes_max = 65'535;
  std::size_t user_properties_bytes_max = 64U << 10;  // names and values together, of one packet
  std::uint32_t message_expiry_s_max = 0xFFFF'FFFF;   // longer is cut; all ones: not
  std::uint32_t client_packet_bytes_min = 1;          // least Maximum Packet Size of a v5 client
  std::uint16_t topic_alias_maximum = 64;
  std::uint16_t topic_alias_out_maximum = 64;  // used towards a client that allows it
  bool validate_payload_format = false;        // text that claims to be UTF-8 has to be
  bool subscription_identifiers = true;
  bool hash_matches_parent = true;  // `a/#` matches `a`
  std::uint64_t hash_seed =
      0;  // of the topic trees; 0: random, so that no client can make names collide
  bool disconnect_on_publish_denied = true;  // false: drop, and acknowledge

  // Connections.
  bool answer_refused =
      true;  // false: 3.1.1 clients that may not connect are closed without CONNACK
  std::uint16_t keep_alive_s_min = 0;       // shorter, but not 0: raised
  std::uint16_t keep_alive_s_max = 65'535;  // lower: sent to v5 clients as Server Keep Alive
  std::string response_prefix;   // Response Information: this, `/` and the client id; empty: none
  std::string server_reference;  // where clients find another server
  Redirect redirect = Redirect::kOff;

  // Subscriptions.
  std::size_t filters_per_subscribe_max = 1000;
  std::size_t subscriptions_per_client_max = 10'000;
  ShareStrategy share_strategy = ShareStrategy::kLeastLoaded;
  std::size_t share_groups_max = 0;   // shared subscriptions in all, by name and filter; 0: any number
  std::size_t share_members_max = 0;  // of one shared subscription, connected or not; 0: any number

  // Windows and queues.
  std::uint8_t qos_max = 2;                  // 1: QoS 2 is refused
  std::uint16_t receive_maximum = 1000;      // unfinished QoS 1 and 2 publishes taken from a client
  std::uint16_t inflight_max = 1000;         // unfinished QoS 1 and 2 publishes sent to a client
  std::size_t queued_messages_max = 10'000;  // waiting behind the inflight window, per session
  std::size_t queued_bytes_max = 16U << 20;
  QueueOverflow queue_overflow = QueueOverflow::kDropNewest;
  std::uint32_t session_expiry_s_max = 604'800;  // 0xFFFFFFFF: sessions may last for ever
  std::uint32_t session_expiry_s = 604'800;      // of a 3.1.1 client with clean session 0
  std::size_t out_buffer_bytes_max =
      8U << 20;  // above it, QoS 0 for this connection is dropped and counted
  std::size_t mailbox_bytes_max =
      64U << 20;  // on their way to one worker; above it, QoS 0 is dropped and counted
  std::size_t memory_bytes_max = 0;  // of all that peers can make grow; 0: half of the machine's

  // Rates; 0: no limit.
  std::uint32_t publishes_per_s_max = 0;      // of one client
  std::uint32_t publish_bytes_per_s_max = 0;  // of one client
  OverRate over_rate = OverRate::kSlowDown;
  std::uint32_t connects_per_s_max = 0;  // of all clients
  std::uint32_t connects_per_s_of_client_max = 0;
  std::uint32_t stored_messages_per_s_max = 0;  // of what waited for one client while it was away
  std::uint32_t retained_per_s_max = 0;         // retained publishes of all clients
  std::uint32_t retained_interval_ms = 0;  // between two retained messages of a topic

  // Retained messages.
  std::size_t retained_messages_max = 1'000'000;
  std::size_t retained_bytes_max = 1U << 30;  // in memory, all together
  std::size_t retained_payload_bytes_max = 256U << 20;
  bool retained_to_wildcards = true;  // false: only where the filter is the topic

  std::size_t topic_cache_entries = 4096;   // hot topics per worker; a power of two, or 0 for none
  std::uint32_t sys_topics_interval_s = 0;  // `$SYS/broker/…` is published so often; 0: never
  std::string region = "us-east-1";
  std::string account = "000000000000";
};

// What AWS does and refuses (mqtt.md 12, column 'AWS').
BrokerOptions strict_options();

}  // namespace iotcore::broker
