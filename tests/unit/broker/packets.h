#pragma once

#include "tests/unit/broker/broker_fixture.h"

#include <catch2/catch.hpp>

#include <variant>

namespace iotcore::broker::test {

// The next packet that the client has got, which has to be of that kind. Its views last until the client receives again.
template <typename Packet>
Packet expect(TestClient& client) {
  const mqtt::PacketView packet = client.receive();
  REQUIRE(std::holds_alternative<Packet>(packet));
  return std::get<Packet>(packet);
}

inline bool nothing(TestClient& client) {
  return std::holds_alternative<std::monostate>(client.receive());
}

// The messages that the client has got, other packets left out.
inline std::vector<std::string> payloads(TestClient& client) {
  std::vector<std::string> all;
  for (;;) {
    const mqtt::PacketView packet = client.receive();
    if (std::holds_alternative<std::monostate>(packet)) {
      return all;
    }
    if (const auto* publish = std::get_if<mqtt::PublishView>(&packet)) {
      all.emplace_back(publish->payload);
    }
  }
}

// One SUBSCRIBE with one entry; its SUBACK is not read.
inline void send_subscribe(
    TestClient& client, const mqtt::SubscriptionView& entry, std::uint32_t subscription_id = 0
) {
  std::string entries;
  mqtt::append_entry(entries, entry);
  mqtt::SubscribeView packet;
  packet.packet_id = PacketId{1};
  if (subscription_id != 0) {
    packet.properties.set(mqtt::Property::kSubscriptionIdentifier, subscription_id);
  }
  packet.entries = {entries, 1};
  client.send(packet);
}

inline void pass_time(BrokerFixture& f, Duration time) {
  f.clock.advance(time);
  f.timers.advance(f.clock.now());
  f.settle();
}

}  // namespace iotcore::broker::test
