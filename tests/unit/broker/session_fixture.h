#pragma once

#include "broker/session.h"
#include "broker/session_rows.h"
#include "tests/unit/broker/packets.h"

#include <catch2/catch.hpp>

#include <string_view>
#include <variant>
#include <vector>

// Clients with sessions: what they connect with, and what they expect.
namespace iotcore::broker::test {

inline mqtt::Ack expect_ack(TestClient& client, mqtt::PacketType type, std::uint16_t id) {
  const mqtt::Ack ack = expect<mqtt::Ack>(client);
  CHECK(ack.type == type);
  CHECK(ack.packet_id == PacketId{id});
  return ack;
}

inline void send_ack(TestClient& client, mqtt::PacketType type, PacketId id) {
  mqtt::Ack ack;
  ack.type = type;
  ack.packet_id = id;
  client.send(ack);
}

inline std::vector<store::Entry> rows_of(
    BrokerFixture& f, store::Table table, std::string_view prefix = ""
) {
  return f.store.scan(table, prefix, "", 10).value();
}

struct SessionOptions {
  mqtt::Version version = mqtt::Version::kV5;
  bool clean = false;
  std::uint32_t expiry_s = 1000;
  std::uint16_t receive_maximum = 0;
  std::size_t worker = 0;
};

// Connects; CONNACK is left to be read.
inline TestClient& connect(BrokerFixture& f, std::string_view id, SessionOptions options = {}) {
  TestClient& made = f.client(options.version, options.worker);
  mqtt::ConnectView packet;
  packet.version = options.version;
  packet.client_id = id;
  packet.clean_start = options.clean;
  if (options.version == mqtt::Version::kV5) {
    packet.properties.set(mqtt::Property::kSessionExpiryInterval, options.expiry_s);
    if (options.receive_maximum != 0) {
      packet.properties.set(mqtt::Property::kReceiveMaximum, options.receive_maximum);
    }
  }
  made.send(packet);
  f.settle();
  return made;
}

inline TestClient& resume(BrokerFixture& f, std::string_view id, SessionOptions options = {}) {
  TestClient& made = connect(f, id, options);
  CHECK(expect<mqtt::Connack>(made).session_present);
  return made;
}

inline TestClient& begin(BrokerFixture& f, std::string_view id, SessionOptions options = {}) {
  TestClient& made = connect(f, id, options);
  CHECK_FALSE(expect<mqtt::Connack>(made).session_present);
  return made;
}

}  // namespace iotcore::broker::test
