#include "gateway_fixture.h"

using namespace iotcore;
using namespace iotcore::gateway;

namespace {

FaceConfig mqtt_face() {
  FaceConfig face;
  face.name = "mqtt";
  face.mqtt = true;
  return face;
}

FaceConfig proxied_face(const char* trusted) {
  FaceConfig face = mqtt_face();
  face.proxy_protocol = true;
  face.trusted_proxies = net::parse_address_ranges(trusted).value();
  return face;
}

const std::string kProxyHeader(
    "\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A\x21\x11\x00\x0C"
    "\xC0\x00\x02\x07\x0A\x00\x00\x01\x1F\x90\x20\xFB",
    28
);

}  // namespace

TEST_CASE("Behind a trusted proxy a client has the address that the proxy says") {
  Server server;
  const std::uint16_t port = server.open(proxied_face("127.0.0.0/8"));
  Peer at_once(port);
  at_once.send(kProxyHeader + packet(kConnect, "device"));
  CHECK(at_once.read_packet()[0] == kHello);
  Peer in_pieces(port);
  for (const char c : kProxyHeader + packet(kConnect, "device")) {
    in_pieces.send({&c, 1});
  }
  CHECK(in_pieces.read_packet()[0] == kHello);
  const std::lock_guard lock(server.seen.mutex);
  REQUIRE(server.seen.peers.size() == 2);
  for (const broker::PeerIdentity& peer : server.seen.peers) {
    CHECK(peer.source_ip == "192.0.2.7");
    CHECK(peer.source_port == 8080);
  }
}

TEST_CASE("A face for proxies takes nobody else") {
  Server server;
  SECTION("no header") {
    Peer peer(server.open(proxied_face("127.0.0.0/8")));
    peer.send(packet(kConnect, "device"));
    CHECK(peer.read_all().empty());
  }
  SECTION("from elsewhere") {
    Peer peer(server.open(proxied_face("10.0.0.0/8")));
    CHECK(peer.read_all().empty());
  }
  CHECK(server.seen.peers.empty());
  CHECK(server.metric("iotcore_proxy_refused_total") == 1);
}

TEST_CASE("A face has a limit of its own on connections") {
  Server server;
  FaceConfig face = mqtt_face();
  face.limits.connections_max = 1;
  const std::uint16_t port = server.open(std::move(face));
  Peer first(port);
  first.send(packet(kConnect, "device-1"));
  CHECK(first.read_packet()[0] == kHello);
  Peer second(port);
  CHECK(second.read_all().empty());
  CHECK(server.metric("iotcore_connections_refused_total") == 1);
  first.close();
  CHECK(server.seen.eventually([&] { return server.gateway.open_connections() == 0; }));
  Peer third(port);
  third.send(packet(kConnect, "device-3"));
  CHECK(third.read_packet()[0] == kHello);
}

TEST_CASE("New connections over the rate wait, and all of them come in the end") {
  Server server;
  FaceConfig face = mqtt_face();
  face.limits.accepts_per_s_max = 100;
  const std::uint16_t port = server.open(std::move(face));
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 60; ++i) {
    peers.push_back(std::make_unique<Peer>(port));
    peers.back()->send(packet(kConnect, "device-" + std::to_string(i)));
  }
  for (const auto& peer : peers) {
    CHECK(peer->read_packet()[0] == kHello);
  }
  // A tenth of a second's worth comes at once; the two workers may each take one more.
  CHECK(std::chrono::steady_clock::now() - start > 400ms);
}

TEST_CASE("The rate of new connections is even, with a burst") {
  AcceptRate rate;
  MonotonicTime now{1h};
  int taken = 0;
  for (; rate.wait(now) <= Duration::zero(); ++taken) {
    rate.take(now, 100);
  }
  CHECK(taken == 11);  // a tenth of a second's worth, and the one that is due now
  CHECK(rate.wait(now) == 10ms);
  now += 10ms;
  CHECK(rate.wait(now) <= Duration::zero());
  rate.take(now, 100);
  CHECK(rate.wait(now) == 10ms);
  now += 1h;
  CHECK(rate.wait(now) < Duration::zero());
}

TEST_CASE("Who does not finish the handshake in time is cut off") {
  Server server;
  FaceConfig face = mqtt_face();
  face.limits.connect_timeout = 200ms;
  Peer peer(server.open(std::move(face)));
  peer.send(packet(kConnect, "device-1").substr(0, 4));
  CHECK(peer.read_all().empty());
  CHECK(server.metric("iotcore_connect_timeouts_total") == 1);
}
