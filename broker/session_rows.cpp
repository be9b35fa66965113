#include "broker/session_rows.h"

#include "base/bytes.h"
#include "store/keys.h"

namespace iotcore::broker {
namespace {

constexpr std::uint8_t kFormat = 1;

// Flags of a message.
constexpr std::uint8_t kQosBits = 3;
constexpr std::uint8_t kRetain = 4;
constexpr std::uint8_t kHasExpiry = 8;
// Further flags of a queue row. The message's own expiry is with the message.
constexpr std::uint8_t kSent = 8;
constexpr std::uint8_t kReleased = 16;
constexpr std::uint8_t kShared = 32;
constexpr std::uint8_t kHasIds = 64;
constexpr std::uint8_t kOfGroup = 128;
// Flags of a session.
constexpr std::uint8_t kHasWill = 1;
constexpr std::uint8_t kWillExpires = 2;
// Flags of a subscription, beside its QoS.
constexpr std::uint8_t kNoLocal = 4;
constexpr std::uint8_t kRetainAsPublished = 8;

tl::unexpected<Error> unreadable(std::string_view what) {
  return fail(Errc::kStoreCorrupt, "a row of a " + std::string(what) + " is not readable");
}

void append_text(std::string& row, std::string_view text) {
  append_u32(row, static_cast<std::uint32_t>(text.size()));
  row.append(text);
}

std::string_view read_text(ByteReader& reader) {
  return reader.bytes(reader.u32());
}

std::uint8_t flags_of(const PublishView& publish) {
  return static_cast<std::uint8_t>(
      static_cast<unsigned>(publish.qos) | (publish.retain ? kRetain : 0U) |
      (publish.has_expiry ? kHasExpiry : 0U)
  );
}

void append_expiry(std::string& row, const PublishView& publish, const Instant& now) {
  if (publish.has_expiry) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(publish.expires_at - now.monotonic);
    append_u64(row, static_cast<std::uint64_t>(now.wall_ms + left.count()));
  }
}

void read_expiry(ByteReader& reader, PublishView& publish, const Instant& now) {
  if (publish.has_expiry) {
    const auto left = static_cast<std::int64_t>(reader.u64()) - now.wall_ms;
    publish.expires_at = now.monotonic + std::chrono::milliseconds(left);
  }
}

// What follows the flags and the expiry.
void append_body(std::string& row, const PublishView& publish) {
  append_u16(row, static_cast<std::uint16_t>(publish.topic.size()));
  row.append(publish.topic);
  append_text(row, publish.properties);
  append_text(row, publish.payload);
}

void read_body(ByteReader& reader, PublishView& publish) {
  publish.topic = reader.bytes(reader.u16());
  publish.properties = read_text(reader);
  publish.payload = read_text(reader);
}

Message::Ref read_message(ByteReader& reader, const Instant& now) {
  PublishView publish;
  const std::uint8_t flags = reader.u8();
  publish.qos = static_cast<mqtt::Qos>(flags & kQosBits);
  publish.retain = (flags & kRetain) != 0;
  publish.has_expiry = (flags & kHasExpiry) != 0;
  read_expiry(reader, publish, now);
  publish.origin = static_cast<Origin>(reader.u8());
  read_body(reader, publish);
  return reader.ok() ? Message::make(publish) : Message::Ref();
}

std::uint8_t flags_of(const std::optional<WillRecord>& will) {
  return static_cast<std::uint8_t>(!will ? 0 : will->expiry_s ? kHasWill | kWillExpires : kHasWill);
}

void append_will(std::string& row, const WillRecord& will, const Instant& now) {
  append_u32(row, will.delay_s);
  if (will.expiry_s) {
    append_u32(row, *will.expiry_s);
  }
  append_u64(row, static_cast<std::uint64_t>(will.due_ms));
  encode_message(row, will.message->view(), now);
}

WillRecord read_will(ByteReader& reader, std::uint8_t flags, const Instant& now) {
  WillRecord will;
  will.delay_s = reader.u32();
  if ((flags & kWillExpires) != 0) {
    will.expiry_s = reader.u32();
  }
  will.due_ms = static_cast<std::int64_t>(reader.u64());
  will.message = read_message(reader, now);
  return will;
}

}  // namespace

std::string session_key(std::string_view client_id) {
  return store::Key('s').text(client_id).take();
}

std::string subscription_key(SessionNumber session, std::string_view filter) {
  return store::Key('f').u64(session).rest(filter).take();
}

std::string received_key(SessionNumber session, PacketId id) {
  return store::Key('r').u64(session).u64(static_cast<std::uint64_t>(id)).take();
}

std::string queue_key(SessionNumber session, std::uint64_t sequence) {
  return store::Key('q').u64(session).u64(sequence).take();
}

std::string ahead_key(SessionNumber session) {
  return store::Key('n').u64(session).take();
}

std::string ended_key(SessionNumber session) {
  return store::Key('e').u64(session).take();
}

std::string lone_will_key(std::string_view client_id) {
  return store::Key('w').text(client_id).take();
}

std::string body_key(std::uint64_t body) {
  return store::Key('m').u64(body).take();
}

std::string subscription_prefix(SessionNumber session) {
  return store::Key('f').u64(session).take();
}

std::string received_prefix(SessionNumber session) {
  return store::Key('r').u64(session).take();
}

std::string queue_prefix(SessionNumber session) {
  return store::Key('q').u64(session).take();
}

void encode_message(std::string& row, const PublishView& publish, const Instant& now) {
  row.push_back(static_cast<char>(flags_of(publish)));
  append_expiry(row, publish, now);
  row.push_back(static_cast<char>(publish.origin));
  append_body(row, publish);
}

Result<Message::Ref> decode_message(std::string_view row, const Instant& now) {
  ByteReader reader(row);
  Message::Ref message = read_message(reader, now);
  if (!message) {
    return unreadable("message");
  }
  return message;
}

std::string encode(const SessionRecord& record, const Instant& now) {
  std::string row;
  row.push_back(static_cast<char>(kFormat));
  append_u64(row, record.number);
  row.push_back(static_cast<char>(flags_of(record.will)));
  append_u32(row, record.expiry_s);
  append_u64(row, static_cast<std::uint64_t>(record.disconnected_ms));
  append_u64(row, record.sent);
  append_text(row, record.principal);
  append_text(row, record.source_ip);
  if (record.will) {
    append_will(row, *record.will, now);
  }
  return row;
}

Result<SessionRecord> decode_session(std::string_view row, const Instant& now) {
  ByteReader reader(row);
  SessionRecord record;
  const std::uint8_t format = reader.u8();
  record.number = reader.u64();
  const std::uint8_t flags = reader.u8();
  record.expiry_s = reader.u32();
  record.disconnected_ms = static_cast<std::int64_t>(reader.u64());
  record.sent = reader.u64();
  record.principal = read_text(reader);
  record.source_ip = read_text(reader);
  if ((flags & kHasWill) != 0) {
    record.will = read_will(reader, flags, now);
  }
  if (!reader.ok() || format != kFormat || record.number == 0) {
    return unreadable("session");
  }
  return record;
}

std::string encode(const EndedSession& ended) {
  std::string row;
  row.push_back(static_cast<char>(kFormat));
  append_u64(row, ended.sent);
  return row;
}

Result<EndedSession> decode_ended(std::string_view row) {
  ByteReader reader(row);
  const std::uint8_t format = reader.u8();
  const EndedSession ended{reader.u64()};
  if (!reader.ok() || format != kFormat) {
    return unreadable("session that has ended");
  }
  return ended;
}

std::string encode(const LoneWill& lone, const Instant& now) {
  std::string row;
  row.push_back(static_cast<char>(kFormat));
  row.push_back(static_cast<char>(flags_of(lone.will)));
  append_text(row, lone.principal);
  append_text(row, lone.source_ip);
  append_will(row, lone.will, now);
  return row;
}

Result<LoneWill> decode_lone_will(std::string_view row, const Instant& now) {
  ByteReader reader(row);
  LoneWill lone;
  const std::uint8_t format = reader.u8();
  const std::uint8_t flags = reader.u8();
  lone.principal = read_text(reader);
  lone.source_ip = read_text(reader);
  lone.will = read_will(reader, flags, now);
  if (!reader.ok() || format != kFormat || !lone.will.message) {
    return unreadable("will");
  }
  return lone;
}

std::string encode(const Subscriber& subscriber) {
  std::string row;
  row.push_back(static_cast<char>(
      static_cast<unsigned>(subscriber.qos) | (subscriber.no_local ? kNoLocal : 0U) |
      (subscriber.retain_as_published ? kRetainAsPublished : 0U)
  ));
  append_u32(row, subscriber.subscription_id);
  return row;
}

Result<Subscriber> decode_subscription(std::string_view row) {
  ByteReader reader(row);
  const std::uint8_t flags = reader.u8();
  Subscriber subscriber;
  subscriber.qos = static_cast<mqtt::Qos>(flags & kQosBits);
  subscriber.no_local = (flags & kNoLocal) != 0;
  subscriber.retain_as_published = (flags & kRetainAsPublished) != 0;
  subscriber.subscription_id = reader.u32();
  if (!reader.ok()) {
    return unreadable("subscription");
  }
  return subscriber;
}

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
) {
  row.push_back(static_cast<char>(
      static_cast<unsigned>(qos) | (retain ? kRetain : 0U) | (body != 0 ? kShared : 0U) |
      (subscription_ids.empty() ? 0U : kHasIds) | (group.empty() ? 0U : kOfGroup) |
      (sent ? kSent : 0U)
  ));
  if (!subscription_ids.empty()) {
    append_u32(row, static_cast<std::uint32_t>(subscription_ids.size()));
    for (const std::uint32_t id : subscription_ids) {
      append_u32(row, id);
    }
  }
  if (!group.empty()) {
    append_text(row, group);
  }
  if (body != 0) {
    append_u64(row, body);
    append_u64(row, bytes_of(publish));
  } else {
    encode_message(row, publish, now);
  }
}

std::string encode_released_row() {
  return std::string(
      1, static_cast<char>(static_cast<unsigned>(mqtt::Qos::kExactlyOnce) | kReleased)
  );
}

Result<QueueRow> decode_queue_row(std::string_view row, const Instant& now, bool with_message) {
  ByteReader reader(row);
  QueueRow queued;
  const std::uint8_t flags = reader.u8();
  queued.qos = static_cast<mqtt::Qos>(flags & kQosBits);
  queued.retain = (flags & kRetain) != 0;
  queued.sent = (flags & kSent) != 0;
  queued.released = (flags & kReleased) != 0;
  if (reader.ok() && queued.released) {
    return queued;
  }
  if ((flags & kHasIds) != 0) {
    const std::uint32_t count = reader.u32();
    for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
      queued.subscription_ids.push_back(reader.u32());
    }
  }
  if ((flags & kOfGroup) != 0) {
    queued.group = read_text(reader);
  }
  if ((flags & kShared) != 0) {
    queued.body = reader.u64();
    queued.bytes = reader.u64();
  } else if (with_message) {
    queued.message = read_message(reader, now);
    queued.bytes = queued.message ? bytes_of(queued.message->view()) : 0;
  } else {
    queued.bytes = reader.remaining();
  }
  if (!reader.ok()) {
    return unreadable("queued message");
  }
  return queued;
}

}  // namespace iotcore::broker
