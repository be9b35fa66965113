#include "server/config_key_kinds.h"

namespace iotcore::server {
namespace {

using broker::BrokerOptions;
using broker::OverRate;
using broker::QueueOverflow;
using broker::Redirect;
using broker::ShareStrategy;

template <typename T>
std::function<T&(Config&)> at(T BrokerOptions::*member) {
  return [member](Config& config) -> T& { return config.mqtt.*member; };
}

template <typename T>
ConfigKey number(
    std::string name,
    std::string help,
    T BrokerOptions::*member,
    std::uint64_t min,
    std::uint64_t max = std::numeric_limits<T>::max()
) {
  return number_key<T>("mqtt." + name, std::move(help), at(member), min, max);
}

ConfigKey flag(std::string name, std::string help, bool BrokerOptions::*member) {
  return flag_key("mqtt." + name, std::move(help), at(member));
}

template <typename T>
ConfigKey choice(
    std::string name,
    std::string help,
    T BrokerOptions::*member,
    std::vector<std::pair<std::string, T>> choices
) {
  return choice_key<T>("mqtt." + name, std::move(help), std::move(choices), at(member));
}

ConfigKey text(std::string name, std::string help, std::string BrokerOptions::*member) {
  constexpr std::size_t kBytesMax = 4096;
  return text_key(
      "mqtt." + name,
      std::move(help),
      at(member),
      [](std::string_view t) { return t.size() <= kBytesMax; },
      "at most 4096 bytes"
  );
}

void append_packet_keys(std::vector<ConfigKey>& k) {
  using O = BrokerOptions;
  k.push_back(number(
      "packet_bytes_max",
      "Size of an MQTT packet, both ways.",
      &O::packet_bytes_max,
      512,
      268'435'460
  ));
  k.push_back(number(
      "payload_bytes_max", "Size of a message's payload.", &O::payload_bytes_max, 0, 256U << 20
  ));
  k.push_back(
      number("client_id_bytes_max", "Length of a client id.", &O::client_id_bytes_max, 23, 65'535)
  );
  k.push_back(
      number("topic_bytes_max", "Length of a topic or filter.", &O::topic_bytes_max, 16, 65'535)
  );
  k.push_back(
      number("topic_levels_max", "Levels of a topic or filter.", &O::topic_levels_max, 1, 256)
  );
  k.push_back(number(
      "share_name_bytes_max",
      "Length of the name of a shared subscription.",
      &O::share_name_bytes_max,
      1,
      65'535
  ));
  k.push_back(number(
      "content_type_bytes_max",
      "Length of a message's content type.",
      &O::content_type_bytes_max,
      0,
      65'535
  ));
  k.push_back(number(
      "correlation_data_bytes_max",
      "Size of a message's correlation data.",
      &O::correlation_data_bytes_max,
      0,
      65'535
  ));
  k.push_back(number(
      "user_properties_bytes_max",
      "Size of the names and values of a packet's user properties together.",
      &O::user_properties_bytes_max,
      0,
      268'435'455
  ));
  k.push_back(number(
      "message_expiry_s_max",
      "Longest message expiry; a longer one is cut. 4294967295: any.",
      &O::message_expiry_s_max,
      1
  ));
  k.push_back(number(
      "client_packet_bytes_min",
      "Least Maximum Packet Size with which a client may connect.",
      &O::client_packet_bytes_min,
      1
  ));
  k.push_back(number(
      "topic_alias_maximum", "Topic aliases that a client may use.", &O::topic_alias_maximum, 0
  ));
  k.push_back(number(
      "topic_alias_out_maximum",
      "Topic aliases that the server uses towards a client that allows them.",
      &O::topic_alias_out_maximum,
      0
  ));
  k.push_back(flag(
      "validate_payload_format",
      "Whether a payload that is marked as UTF-8 text is refused if it is not.",
      &O::validate_payload_format
  ));
  k.push_back(flag(
      "subscription_identifiers",
      "Whether clients may give subscriptions an identifier; AWS says no.",
      &O::subscription_identifiers
  ));
  k.push_back(flag(
      "hash_matches_parent",
      "Whether a/# matches a, as the standard says; AWS says no.",
      &O::hash_matches_parent
  ));
  k.push_back(flag(
      "disconnect_on_publish_denied",
      "Whether a publish that a policy denies ends the connection where the protocol has no way to "
      "say no.",
      &O::disconnect_on_publish_denied
  ));
}

void append_connection_keys(std::vector<ConfigKey>& k) {
  using O = BrokerOptions;
  k.push_back(flag(
      "answer_refused",
      "Whether 3.1.1 clients that may not connect are told so by CONNACK 4 or 5; AWS just closes.",
      &O::answer_refused
  ));
  k.push_back(number(
      "keep_alive_s_min", "Shortest keep alive; a shorter one is raised.", &O::keep_alive_s_min, 0
  ));
  k.push_back(number(
      "keep_alive_s_max",
      "Longest keep alive; 65535: whatever the client asks for, none included.",
      &O::keep_alive_s_max,
      1
  ));
  k.push_back(text(
      "response_prefix",
      "What clients get as Response Information, with / and their client id after it; empty: "
      "nothing.",
      &O::response_prefix
  ));
  k.push_back(text(
      "server_reference",
      "Another server, host:port, that clients are told of when this one stops or redirects.",
      &O::server_reference
  ));
  k.push_back(choice<Redirect>(
      "redirect",
      "Whether who connects is sent to mqtt.server_reference, for now (0x9C) or for good (0x9D).",
      &O::redirect,
      {{"off", Redirect::kOff},
       {"temporary", Redirect::kTemporary},
       {"permanent", Redirect::kPermanent}}
  ));
  k.push_back(number(
      "filters_per_subscribe_max", "Filters in one SUBSCRIBE.", &O::filters_per_subscribe_max, 1
  ));
  k.push_back(number(
      "subscriptions_per_client_max",
      "Subscriptions of one client.",
      &O::subscriptions_per_client_max,
      1
  ));
  k.push_back(choice<ShareStrategy>(
      "share_strategy",
      "Which member of a shared subscription gets a message.",
      &O::share_strategy,
      {{"least_loaded", ShareStrategy::kLeastLoaded}, {"round_robin", ShareStrategy::kRoundRobin}}
  ));
  k.push_back(number(
      "share_groups_max",
      "Shared subscriptions in all, counted by share name and filter; 0: any number.",
      &O::share_groups_max,
      0
  ));
  k.push_back(number(
      "share_members_max",
      "Members of one shared subscription, connected or not; 0: any number.",
      &O::share_members_max,
      0
  ));
}

void append_flow_keys(std::vector<ConfigKey>& k) {
  using O = BrokerOptions;
  k.push_back(
      number("qos_max", "Highest QoS that clients may use: 2, or 1 as on AWS.", &O::qos_max, 1, 2)
  );
  k.push_back(number(
      "receive_maximum",
      "QoS 1 and 2 publishes of one client that may be unfinished.",
      &O::receive_maximum,
      1
  ));
  k.push_back(number(
      "inflight_max",
      "QoS 1 and 2 messages sent to one client that may be unfinished.",
      &O::inflight_max,
      1
  ));
  k.push_back(number(
      "queued_messages_max",
      "Messages that wait for one client, connected or not, behind its inflight window.",
      &O::queued_messages_max,
      0
  ));
  k.push_back(number(
      "queued_bytes_max",
      "Bytes that wait for one client, connected or not, behind its inflight window.",
      &O::queued_bytes_max,
      0
  ));
  k.push_back(choice<QueueOverflow>(
      "queue_overflow",
      "Which QoS 1 and 2 messages are dropped when a client's queue is full.",
      &O::queue_overflow,
      {{"drop_newest", QueueOverflow::kDropNewest}, {"drop_oldest", QueueOverflow::kDropOldest}}
  ));
  k.push_back(number(
      "session_expiry_s_max",
      "Longest time that a session outlives its connection, in seconds; 4294967295: for ever.",
      &O::session_expiry_s_max,
      0
  ));
  k.push_back(number(
      "session_expiry_s",
      "How long the session of a 3.1.1 client with clean session 0 outlives its connection, in "
      "seconds.",
      &O::session_expiry_s,
      0
  ));
  k.push_back(number(
      "out_buffer_bytes_max",
      "Unsent bytes to one client above which QoS 0 messages to it are dropped.",
      &O::out_buffer_bytes_max,
      4096
  ));
  k.push_back(number(
      "mailbox_bytes_max",
      "Bytes on their way from one worker to another above which QoS 0 messages are dropped.",
      &O::mailbox_bytes_max,
      4096
  ));
  k.push_back(number(
      "memory_bytes_max",
      "Memory of all that clients can make grow; 0: half of the machine's. Near it, messages and "
      "connections are refused.",
      &O::memory_bytes_max,
      0
  ));
  k.push_back(number(
      "publishes_per_s_max", "Publishes a second of one client; 0: any.", &O::publishes_per_s_max, 0
  ));
  k.push_back(number(
      "publish_bytes_per_s_max",
      "Bytes of publishes a second of one client; 0: any.",
      &O::publish_bytes_per_s_max,
      0
  ));
  k.push_back(choice<OverRate>(
      "over_rate",
      "What happens above these rates: the client is read more slowly, or its publishes are "
      "dropped as AWS does.",
      &O::over_rate,
      {{"slow_down", OverRate::kSlowDown}, {"drop", OverRate::kDrop}}
  ));
  k.push_back(number(
      "connects_per_s_max", "CONNECTs a second of all clients; 0: any.", &O::connects_per_s_max, 0
  ));
  k.push_back(number(
      "connects_per_s_of_client_max",
      "CONNECTs a second of one client id; 0: any.",
      &O::connects_per_s_of_client_max,
      0
  ));
  k.push_back(number(
      "stored_messages_per_s_max",
      "How many of the messages that have waited for a client go out a second once it is back; 0: as fast as it takes them.",
      &O::stored_messages_per_s_max,
      0
  ));
  k.push_back(number(
      "retained_per_s_max", "Retained publishes a second of all clients; 0: any.", &O::retained_per_s_max, 0
  ));
  k.push_back(number(
      "retained_interval_ms",
      "Milliseconds between two retained messages of one topic; 0: any.",
      &O::retained_interval_ms,
      0
  ));
}

void append_retained_keys(std::vector<ConfigKey>& k) {
  using O = BrokerOptions;
  k.push_back(
      number("retained_messages_max", "Retained messages in all.", &O::retained_messages_max, 0)
  );
  k.push_back(
      number("retained_bytes_max", "Memory of retained messages.", &O::retained_bytes_max, 0)
  );
  k.push_back(number(
      "retained_payload_bytes_max",
      "Size of a retained message's payload.",
      &O::retained_payload_bytes_max,
      0
  ));
  k.push_back(flag(
      "retained_to_wildcards",
      "Whether a new subscription with wildcards gets retained messages, as the standard says; AWS "
      "says no.",
      &O::retained_to_wildcards
  ));
  k.push_back(number(
      "sys_topics_interval_s",
      "Seconds between statistics on $SYS/broker/...; 0: never.",
      &O::sys_topics_interval_s,
      0,
      86'400
  ));
}

}  // namespace

void append_mqtt_keys(std::vector<ConfigKey>& keys) {
  keys.push_back(choice_key<Profile>(
      "mqtt.profile",
      "Where the other mqtt keys start from: extended (the standards in full, wide limits) or "
      "strict (AWS's limits and refusals).",
      {{"extended", Profile::kExtended}, {"strict", Profile::kStrict}},
      [](Config& c) -> Profile& { return c.mqtt_profile; }
  ));
  append_packet_keys(keys);
  append_connection_keys(keys);
  append_flow_keys(keys);
  append_retained_keys(keys);
}

}  // namespace iotcore::server
