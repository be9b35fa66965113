// Publishes that are for a rule alone.
#include "tests/unit/broker/session_fixture.h"

namespace iotcore::broker::test {
namespace {

using mqtt::PacketType;

// Keeps what it gets, as the rules engine does.
class Keeping final : public MessageConsumer {
 public:
  void on_message(PublishContext& context) override {
    ++count;
    context.durable_batch().put(
        store::Table::kOutbox, "m" + std::to_string(count), context.publish().payload
    );
  }

  int count = 0;
};

TEST_CASE("a QoS 2 publish to a rule is taken once, though it is repeated after a crash") {
  BrokerFixture f;
  Keeping rule;
  f.broker->set_basic_ingest(&rule);
  TestClient& pub = begin(f, "pub");
  f.publish(pub, "$aws/rules/hot/t", "x", Qos::kExactlyOnce, false, 9);
  expect_ack(pub, PacketType::kPubrec, 9);
  CHECK(rule.count == 1);
  f.crash();
  f.broker->set_basic_ingest(&rule);
  TestClient& again = resume(f, "pub");
  f.publish(again, "$aws/rules/hot/t", "x", Qos::kExactlyOnce, false, 9);
  expect_ack(again, PacketType::kPubrec, 9);
  CHECK(rule.count == 1);
  send_ack(again, PacketType::kPubrel, PacketId{9});
  f.settle();
  expect_ack(again, PacketType::kPubcomp, 9);
  CHECK(rows_of(f, store::Table::kSessions, "r").empty());
}

TEST_CASE("what a rule could not keep of a QoS 2 publish is not acknowledged, and is taken again") {
  BrokerFixture f;
  Keeping rule;
  f.broker->set_basic_ingest(&rule);
  TestClient& pub = begin(f, "pub");
  f.fault->break_writes(Error(Errc::kStoreIo, "broken"));
  f.publish(pub, "$aws/rules/hot/t", "x", Qos::kExactlyOnce, false, 9);
  CHECK(mqtt::is_error(expect_ack(pub, PacketType::kPubrec, 9).reason));
  f.fault->mend();
  f.publish(pub, "$aws/rules/hot/t", "x", Qos::kExactlyOnce, false, 9);
  CHECK_FALSE(mqtt::is_error(expect_ack(pub, PacketType::kPubrec, 9).reason));
  CHECK(rule.count == 2);
}

}  // namespace
}  // namespace iotcore::broker::test
