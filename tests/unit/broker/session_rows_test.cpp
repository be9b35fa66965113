#include "broker/session_rows.h"

#include "broker/mqtt/properties.h"

#include <catch2/catch.hpp>

namespace iotcore::broker {
namespace {

const Instant kNow{MonotonicTime(std::chrono::seconds(100)), 1'700'000'000'000};

PublishView sample() {
  PublishView publish;
  publish.topic = "plant/1/t";
  publish.payload = std::string_view("\0binary\xff", 8);
  publish.properties = std::string_view("\x01\x01", 2);
  publish.qos = mqtt::Qos::kExactlyOnce;
  publish.retain = true;
  publish.origin = Origin::kRule;
  publish.has_expiry = true;
  publish.expires_at = kNow.monotonic + std::chrono::milliseconds(2500);
  return publish;
}

void check_same(const PublishView& a, const PublishView& b) {
  CHECK(a.topic == b.topic);
  CHECK(a.payload == b.payload);
  CHECK(a.properties == b.properties);
  CHECK(a.qos == b.qos);
  CHECK(a.retain == b.retain);
  CHECK(a.origin == b.origin);
  CHECK(a.has_expiry == b.has_expiry);
}

TEST_CASE("a queued message comes back as it was, and its expiry goes on by the calendar") {
  const PublishView publish = sample();
  const std::vector<std::uint32_t> ids{7, 268'435'455};
  std::string row;
  encode_queue_row(row, publish, mqtt::Qos::kAtLeastOnce, true, ids, 0, "$share/g/t", true, kNow);
  // Another process, whose monotonic clock began anew; a second later.
  const Instant later{MonotonicTime(std::chrono::seconds(5)), kNow.wall_ms + 1000};
  const QueueRow back = decode_queue_row(row, later).value();
  check_same(back.message->view(), publish);
  CHECK(back.message->view().expires_at == later.monotonic + std::chrono::milliseconds(1500));
  CHECK(back.qos == mqtt::Qos::kAtLeastOnce);
  CHECK(back.retain);
  CHECK_FALSE(back.released);
  CHECK(back.subscription_ids == ids);
  CHECK(back.group == "$share/g/t");
  CHECK(back.sent);
  CHECK(back.bytes == bytes_of(publish));
}

TEST_CASE("a row may refer to a body, or stand for a released message") {
  std::string row;
  encode_queue_row(row, sample(), mqtt::Qos::kExactlyOnce, false, {}, 42, {}, false, kNow);
  const QueueRow shared = decode_queue_row(row, kNow).value();
  CHECK(shared.body == 42);
  CHECK(shared.bytes == bytes_of(sample()));
  CHECK(shared.group.empty());
  CHECK_FALSE(shared.sent);
  CHECK_FALSE(shared.message);
  CHECK(row.size() < 20);
  const QueueRow released = decode_queue_row(encode_released_row(), kNow).value();
  CHECK(released.released);
  CHECK(released.qos == mqtt::Qos::kExactlyOnce);
  std::string body;
  encode_message(body, sample(), kNow);
  check_same(decode_message(body, kNow).value()->view(), sample());
}

TEST_CASE("a session's record comes back with its will") {
  SessionRecord record;
  record.number = 77;
  record.expiry_s = SessionRecord::kNeverExpires;
  record.disconnected_ms = 123;
  record.sent = 65'536;
  record.principal = "p";
  record.source_ip = "::1";
  const bool with_will = GENERATE(false, true);
  if (with_will) {
    record.will = WillRecord{5, 60, 456, Message::make(sample())};
  }
  const SessionRecord back = decode_session(encode(record, kNow), kNow).value();
  CHECK(back.number == record.number);
  CHECK(back.expiry_s == record.expiry_s);
  CHECK(back.disconnected_ms == record.disconnected_ms);
  CHECK(back.sent == record.sent);
  CHECK(back.principal == record.principal);
  CHECK(back.source_ip == record.source_ip);
  REQUIRE(back.will.has_value() == with_will);
  if (with_will) {
    CHECK(back.will->delay_s == 5);
    CHECK(back.will->expiry_s == 60U);
    CHECK(back.will->due_ms == 456);
    check_same(back.will->message->view(), sample());
  }
}

TEST_CASE("a will without a session comes back with whose it was") {
  LoneWill lone{"p", "::1", {5, std::nullopt, 0, Message::make(sample())}};
  lone.will.expiry_s = GENERATE(std::optional<std::uint32_t>(), std::optional<std::uint32_t>(9));
  const std::string row = encode(lone, kNow);
  const LoneWill back = decode_lone_will(row, kNow).value();
  CHECK(back.principal == "p");
  CHECK(back.source_ip == "::1");
  CHECK(back.will.delay_s == 5);
  CHECK(back.will.expiry_s == lone.will.expiry_s);
  check_same(back.will.message->view(), sample());
  for (std::size_t size = 0; size < row.size(); ++size) {
    CHECK_FALSE(decode_lone_will(std::string_view(row).substr(0, size), kNow).has_value());
  }
  CHECK(decode_ended(encode(EndedSession{7})).value().sent == 7);
  CHECK_FALSE(decode_ended("\1").has_value());
}

TEST_CASE("rows that are cut short are refused, wherever they are cut") {
  std::string queued;
  encode_queue_row(
      queued, sample(), mqtt::Qos::kAtLeastOnce, true, std::vector{1U}, 0, {}, false, kNow
  );
  for (std::size_t size = 0; size < queued.size(); ++size) {
    CHECK_FALSE(decode_queue_row(std::string_view(queued).substr(0, size), kNow).has_value());
  }
  SessionRecord record;
  record.number = 1;
  record.will = WillRecord{1, 2, 3, Message::make(sample())};
  const std::string session = encode(record, kNow);
  for (std::size_t size = 0; size < session.size(); ++size) {
    CHECK_FALSE(decode_session(std::string_view(session).substr(0, size), kNow).has_value());
  }
  CHECK_FALSE(decode_subscription("").has_value());
  CHECK_FALSE(decode_subscription("\1").has_value());
}

TEST_CASE("subscriptions keep their options, and keys sort by session and number") {
  Subscriber subscriber;
  subscriber.qos = mqtt::Qos::kExactlyOnce;
  subscriber.no_local = true;
  subscriber.retain_as_published = true;
  subscriber.subscription_id = 9;
  const Subscriber back = decode_subscription(encode(subscriber)).value();
  CHECK(back.qos == subscriber.qos);
  CHECK(back.no_local);
  CHECK(back.retain_as_published);
  CHECK(back.subscription_id == 9);
  CHECK(queue_key(1, 255) < queue_key(1, 256));
  CHECK(queue_key(1, ~0ULL) < queue_key(2, 0));
  CHECK(queue_key(5, 3).starts_with(queue_prefix(5)));
}

}  // namespace
}  // namespace iotcore::broker
