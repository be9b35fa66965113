#pragma once

#include "base/result.h"
#include "broker/message.h"
#include "broker/subscriber_table.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// What the store keeps of persistent sessions. Pure: keys and values only.
//
// Table sessions:  's', text client id          -> SessionRecord
//                  'f', u64 session, rest filter -> options of a subscription
//                  'r', u64 session, u64 id      -> nothing: a QoS 2 publish of the client that is received and not released
//                  'n', u64 session              -> u64: messages below this number may have been sent; while the client is connected
//                  'e', u64 session              -> EndedSession: its messages of shared subscriptions are still to be passed on
//                  'w', text client id           -> LoneWill: of a client that is connected and has no persistent session
// Table queue:     'q', u64 session, u64 number  -> QueueRow: a message for the client, in the order of its numbers
//                  'm', u64 body                 -> a message that several queues refer to
//
// A session is known by a number that is never used again, so what is left of a session that has ended can be erased later.
namespace iotcore::broker {

// Names a persistent session; 0: none.
using SessionNumber = std::uint64_t;

// A will that is still to be published.
struct WillRecord {
  std::uint32_t delay_s = 0;
  std::optional<std::uint32_t> expiry_s = {};  // of the message, from when it is published
  std::int64_t due_ms = 0;  // 0: the client is connected; else when it is to be published
  Message::Ref message;
};

struct SessionRecord {
  static constexpr std::uint32_t kNeverExpires = 0xFFFFFFFF;

  SessionNumber number = 0;
  std::uint32_t expiry_s = 0;
  std::int64_t disconnected_ms = 0;  // 0: the client is connected
  std::uint64_t sent = 0;  // messages below this number may have been sent; when this was written
  std::string principal;   // of the last connection
  std::string source_ip;
  std::optional<WillRecord> will;
};

// A session that has ended.
struct EndedSession {
  std::uint64_t sent = 0;  // messages below this number may have been sent
};

// A will whose client has no session that outlives the connection: it is there for a crash.
struct LoneWill {
  std::string principal;
  std::string source_ip;
  WillRecord will;
};

// Wall and monotonic time of one instant, to convert between them.
struct Instant {
  MonotonicTime monotonic;
  std::int64_t wall_ms = 0;
};

struct QueueRow {
  mqtt::Qos qos = mqtt::Qos::kAtLeastOnce;
  bool retain = false;
  bool sent = false;        // it went out in the same turn
  bool released = false;    // QoS 2: the client has it; only PUBREL and PUBCOMP are left
  std::uint64_t body = 0;   // 0: the message is in this row
  std::uint64_t bytes = 0;  // of the message
  std::vector<std::uint32_t> subscription_ids;
  std::string group;     // the filter with $share/name/ by which it came, if it did
  Message::Ref message;  // if it is in this row
};

std::string session_key(std::string_view client_id);
std::string subscription_key(SessionNumber session, std::string_view filter);
std::string received_key(SessionNumber session, PacketId id);
std::string ahead_key(SessionNumber session);
std::string ended_key(SessionNumber session);
std::string lone_will_key(std::string_view client_id);
std::string queue_key(SessionNumber session, std::uint64_t sequence);
std::string body_key(std::uint64_t body);
// Of all rows of one session.
std::string subscription_prefix(SessionNumber session);
std::string received_prefix(SessionNumber session);
std::string queue_prefix(SessionNumber session);

std::string encode(const SessionRecord& record, const Instant& now);
Result<SessionRecord> decode_session(std::string_view row, const Instant& now);

std::string encode(const EndedSession& ended);
Result<EndedSession> decode_ended(std::string_view row);

std::string encode(const LoneWill& lone, const Instant& now);
Result<LoneWill> decode_lone_will(std::string_view row, const Instant& now);

std::string encode(const Subscriber& subscriber);
Result<Subscriber> decode_subscription(std::string_view row);

// `body` 0: the message goes into the row.
void encode_queue_row(
    std::string& row,
    const PublishView& publish,
    mqtt::Qos qos,
    bool retain,
    std::span<const std::uint32_t> subscription_ids,
    std::uint64_t body,
    std::string_view group,
    bool sent,
    const Instant& now
);
std::string encode_released_row();
// Without the message itself if `with_message` is false.
Result<QueueRow> decode_queue_row(
    std::string_view row, const Instant& now, bool with_message = true
);

void encode_message(std::string& row, const PublishView& publish, const Instant& now);
Result<Message::Ref> decode_message(std::string_view row, const Instant& now);

// What a message counts in limits of bytes.
inline std::size_t bytes_of(const PublishView& publish) {
  return publish.topic.size() + publish.properties.size() + publish.payload.size();
}

}  // namespace iotcore::broker
