#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace iotcore::rules::sql {

// What a statement may ask about a message besides its payload. Points into the message and the
// connection; valid while an Evaluation that was given it lives.
struct MessageView {
  std::string_view topic;                     // without $aws/rules/<rule>/
  std::optional<std::string_view> client_id;  // none: not published over MQTT
  std::string_view principal;  // certificate id, or role and session; empty: anonymous
  std::string_view source_ip;
  std::optional<std::string_view> trace_id;
  std::string_view account_id;
  std::int64_t timestamp_ms = 0;

  // MQTT 5 properties of the PUBLISH.
  std::optional<std::string_view> content_type;
  std::optional<std::string_view> response_topic;
  std::optional<std::string_view> correlation_data;
  std::optional<bool> payload_is_utf8;
  std::span<const std::pair<std::string_view, std::string_view>> user_properties;
};

}  // namespace iotcore::rules::sql
