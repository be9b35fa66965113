#include "gateway_fixture.h"

using namespace iotcore;
using namespace iotcore::gateway;
using broker::CloseReason;

TEST_CASE("A connection's packets reach its client and come back") {
  Server server;
  Peer peer(server.open_mqtt());
  peer.send(packet(kConnect, "device-1"));
  CHECK(peer.read_packet()[0] == kHello);
  for (int i = 0; i < 100; ++i) {
    const std::string echo = packet(kEcho, "message " + std::to_string(i));
    peer.send(echo);
    CHECK(peer.read_packet() == echo);
  }
  CHECK(server.seen.peers.at(0).source_ip == "127.0.0.1");
  CHECK(server.metric("iotcore_connections_open{face=\"mqtt\"}") == 1);
  peer.send(packet(kQuit, ""));
  CHECK(peer.read_all().empty());
  CHECK(server.seen.closed_with(CloseReason::kClientDisconnect));
  CHECK(server.seen.eventually([&] { return server.gateway.open_connections() == 0; }));
}

TEST_CASE("A session's connections all end up on the worker that owns it") {
  Server server;
  const std::uint16_t port = server.open_mqtt();
  for (int i = 0; i < 64; ++i) {
    const std::string id = "device-" + std::to_string(i);
    Peer peer(port);
    peer.send(packet(kConnect, id) + packet(kEcho, "at once"));
    const auto owner = index(server.workers.owner_of(id));
    CHECK(peer.read_packet() == packet(kHello, std::to_string(owner)));
    CHECK(peer.read_packet() == packet(kEcho, "at once"));
  }
}

TEST_CASE("Packets in pieces, many at once and large ones all come through whole") {
  Server server;
  Peer peer(server.open_mqtt());
  std::string all = packet(kConnect, "device-1");
  SECTION("byte by byte") {
    all += packet(kEcho, "hello") + packet(kEcho, "");
    for (const char c : all) {
      peer.send(std::string(1, c));
    }
  }
  SECTION("thousands in one go") {
    for (int i = 0; i < 20000; ++i) {
      all += packet(kSink, std::string(100, 's'));
    }
    all += packet(kEcho, "end");
    std::thread sender([&] { peer.send(all); });
    CHECK(peer.read_packet()[0] == kHello);
    CHECK(peer.read_packet() == packet(kEcho, "end"));
    sender.join();
    CHECK(server.seen.bytes == 2'000'000);
    return;
  }
  SECTION("larger than any buffer") {
    const std::string large(3'000'000, 'l');
    all += packet(kEcho, large);
    std::thread sender([&] { peer.send(all); });
    CHECK(peer.read_packet()[0] == kHello);
    CHECK(peer.read_packet() == packet(kEcho, large));
    sender.join();
    return;
  }
  CHECK(peer.read_packet()[0] == kHello);
  CHECK(peer.read_packet() == packet(kEcho, all.find("hello") != std::string::npos ? "hello" : ""));
}

TEST_CASE("What does not begin with a CONNECT still gets a client that answers") {
  Server server;
  Peer peer(server.open_mqtt());
  peer.send(packet('z', "") + std::string(4096, 'x'));
  CHECK(peer.read_all() == packet('y', ""));
  CHECK(server.seen.closed_with(CloseReason::kClientError));
}

TEST_CASE("The last packet arrives although input was left unread") {
  Server server;
  Peer peer(server.open_mqtt());
  peer.send(
      packet(kConnect, "device-1") + packet(kError, "") + packet(kSink, std::string(60000, 'u'))
  );
  CHECK(peer.read_packet()[0] == kHello);
  CHECK(peer.read_packet() == packet('y', ""));
  CHECK(peer.read_all().empty());
  peer.close();
  CHECK(server.seen.closed_with(CloseReason::kClientError));
  CHECK(server.seen.bytes == 0);
}

TEST_CASE("A peer that goes away is noticed, after what it sent has been taken") {
  Server server;
  Peer peer(server.open_mqtt());
  peer.send(packet(kConnect, "device-1"));
  CHECK(peer.read_packet()[0] == kHello);
  peer.send(packet(kSink, std::string(100000, 's')));
  SECTION("by closing") {
    peer.close();
  }
  SECTION("by half closing") {
    peer.shutdown_write();
  }
  CHECK(server.seen.closed_with(CloseReason::kConnectionLost));
  CHECK(server.seen.bytes == 100000);
  CHECK(server.seen.eventually([&] { return server.seen.live == 0; }));
}

TEST_CASE("A reset connection is lost") {
  Server server;
  Peer peer(server.open_mqtt());
  peer.send(packet(kConnect, "device-1"));
  CHECK(peer.read_packet()[0] == kHello);
  peer.reset();
  CHECK(server.seen.closed_with(CloseReason::kConnectionLost));
}

TEST_CASE("A client that stops reading gets everything in order when it goes on") {
  Server server;
  Peer peer(server.open_mqtt());
  std::string all = packet(kConnect, "device-1");
  for (int i = 0; i < 50; ++i) {
    all += packet(kPause, "") + packet(kEcho, std::to_string(i));
  }
  peer.send(all);
  CHECK(peer.read_packet()[0] == kHello);
  for (int i = 0; i < 50; ++i) {
    CHECK(peer.read_packet() == packet(kEcho, std::to_string(i)));
  }
}

TEST_CASE("Output that a slow peer does not take waits for it") {
  Server server;
  Peer peer(server.open_mqtt());
  peer.send(packet(kConnect, "device-1") + packet(kFlood, ""));
  CHECK(peer.read_packet()[0] == kHello);
  std::this_thread::sleep_for(50ms);  // let the socket fill; the test holds without it too
  for (int i = 0; i < 64; ++i) {
    CHECK(
        peer.read_packet() == packet(kEcho, std::string(64 * 1024, static_cast<char>('a' + i % 26)))
    );
  }
}

TEST_CASE("A peer that takes nothing for too long is cut off") {
  GatewayLimits limits;
  limits.write_stall_timeout = 1s;
  Server server(limits);
  Peer peer(server.open_mqtt());
  peer.send(packet(kConnect, "device-1") + packet(kFlood, "") + packet(kFlood, ""));
  CHECK(server.seen.closed_with(CloseReason::kSlowReceiver));
}

TEST_CASE("Who says nothing useful in time is cut off") {
  GatewayLimits limits;
  limits.connect_timeout = 1s;
  Server server(limits);
  Peer peer(server.open_mqtt());
  peer.send(packet(kConnect, "device-1").substr(0, 4));
  CHECK(peer.read_all().empty());
  CHECK(server.seen.peers.empty());
  CHECK(server.metric("iotcore_connect_timeouts_total") == 1);
}

TEST_CASE("Connections over the limit are turned away, and those that end make room") {
  GatewayLimits limits;
  limits.connections_max = 2;
  Server server(limits);
  const std::uint16_t port = server.open_mqtt();
  Peer first(port);
  Peer second(port);
  first.send(packet(kConnect, "device-1"));
  second.send(packet(kConnect, "device-2"));
  CHECK(first.read_packet()[0] == kHello);
  CHECK(second.read_packet()[0] == kHello);
  Peer third(port);
  third.send(packet(kConnect, "device-3"));
  CHECK(third.read_all().empty());
  first.close();
  CHECK(server.seen.eventually([&] { return server.gateway.open_connections() == 1; }));
  Peer fourth(port);
  fourth.send(packet(kConnect, "device-4"));
  CHECK(fourth.read_packet()[0] == kHello);
}

TEST_CASE("A server that stops tells its clients and lets the last packet out") {
  Server server;
  const std::uint16_t port = server.open_mqtt();
  Peer peer(port);
  peer.send(packet(kConnect, "device-1"));
  CHECK(peer.read_packet()[0] == kHello);
  std::thread closer([&] { server.gateway.close(5s); });
  CHECK(peer.read_packet() == packet(kBye, ""));
  CHECK(peer.read_all().empty());
  peer.close();
  closer.join();
  CHECK(server.seen.closed_with(CloseReason::kServerShutdown));
  CHECK(server.gateway.open_connections() == 0);
}

TEST_CASE("Many connections come and go on all workers at once") {
  Server server;
  const std::uint16_t port = server.open_mqtt();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([port, t] {
      for (int i = 0; i < 50; ++i) {
        Peer peer(port);
        const std::string id = std::to_string(t) + "-" + std::to_string(i);
        peer.send(packet(kConnect, id) + packet(kEcho, id));
        if (peer.read_packet()[0] != kHello || peer.read_packet() != packet(kEcho, id)) {
          std::abort();
        }
        if (i % 3 == 0) {
          peer.reset();
        } else if (i % 3 == 1) {
          peer.send(packet(kQuit, ""));
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(server.seen.eventually([&] { return server.gateway.open_connections() == 0; }));
  CHECK(server.seen.live == 0);
}
