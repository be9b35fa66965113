#include "gateway_fixture.h"

using namespace iotcore;
using namespace iotcore::gateway;
using broker::CloseReason;

namespace {

// Says what it was asked; some paths answer late, from another thread, or never.
class EchoHandler final : public HttpHandler {
 public:
  explicit EchoHandler(WorkerThreads& workers) : workers_(workers) {}

  void handle(net::HttpRequest request, const broker::PeerIdentity& peer, HttpReply reply)
      override {
    net::HttpResponse response;
    response.body = request.method + " " + request.target + " " + request.body;
    if (request.target == "/who") {
      response.body = peer.source_ip + (peer.development ? " development" : "");
    }
    if (request.target == "/never") {
      kept_ = std::move(reply);
    } else if (request.target == "/large") {
      response.body = std::string(8 * 1024 * 1024, 'L');
      reply(std::move(response));
    } else if (request.target == "/pool") {
      workers_.blocking().post([moved = std::make_unique<HttpReply>(std::move(reply)),
                                answer = std::make_unique<net::HttpResponse>(std::move(response))] {
        (*moved)(std::move(*answer));
      });
    } else {
      reply(std::move(response));
    }
  }

  void authorize_websocket(
      const net::HttpRequest& request, const broker::PeerIdentity& peer, UpgradeAnswer answer
  ) override {
    if (net::split_target(request.target).query == "deny") {
      answer(fail(Errc::kForbidden, "not you"));
      return;
    }
    broker::PeerIdentity identity = peer;
    identity.kind = broker::PeerIdentity::Kind::kAccessKey;
    identity.principal = "AKID";
    if (net::split_target(request.target).query == "short") {
      auto evidence = std::make_shared<broker::PeerEvidence>(*peer.evidence);
      evidence->session_end = {SystemClock().now() + 50ms, CloseReason::kWebsocketTtl};
      identity.evidence = std::move(evidence);
    }
    answer(std::move(identity));
  }

  net::HttpResponse error_response(const Error& error) override {
    net::HttpResponse response;
    response.status = errc_info(error.code()).http_status;
    response.body = error.message();
    return response;
  }

 private:
  WorkerThreads& workers_;
  HttpReply kept_;
};

struct HttpServer : Server {
  explicit HttpServer(GatewayLimits limits = {}) : Server(limits), handler(workers) {}

  ~HttpServer() { stop(); }

  std::uint16_t open_http(bool mqtt_too = false) {
    FaceConfig face;
    face.name = "http";
    face.http = &handler;
    face.mqtt = mqtt_too;
    face.development = true;
    return open(std::move(face));
  }

  EchoHandler handler;
};

std::string get(std::string_view target, std::string_view fields = "") {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n";
}

struct Answer {
  std::string head;
  std::string body;
};

Answer read_answer(Peer& peer) {
  Answer out;
  while (!out.head.ends_with("\r\n\r\n")) {
    const std::string next = peer.read(1);
    if (next.empty()) {
      return out;
    }
    out.head += next;
  }
  const std::size_t at = out.head.find("Content-Length: ");
  if (at != std::string::npos) {
    out.body = peer.read(std::stoul(out.head.substr(at + 16)));
  }
  return out;
}

bool has_status(const Answer& answer, int status) {
  return answer.head.starts_with("HTTP/1.1 " + std::to_string(status) + " ");
}

std::string masked_frame(std::string_view payload) {
  std::string out = "\x82";
  out.push_back(static_cast<char>(0x80 | payload.size()));
  out += "mask";
  for (std::size_t i = 0; i < payload.size(); ++i) {
    out.push_back(static_cast<char>(payload[i] ^ "mask"[i % 4]));
  }
  return out;
}

std::string upgrade(std::string_view target) {
  return get(
      target,
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n"
  );
}

std::string frame_payload(Peer& peer) {
  const std::string head = peer.read(2);
  REQUIRE(head.size() == 2);
  return peer.read(static_cast<std::size_t>(head[1]));
}

}  // namespace

TEST_CASE("Requests of one connection are answered in order, pipelined or not") {
  HttpServer server;
  Peer peer(server.open_http());
  peer.send(get("/1") + get("/pool") + get("/3"));
  CHECK(read_answer(peer).body == "GET /1 ");
  CHECK(read_answer(peer).body == "GET /pool ");
  CHECK(read_answer(peer).body == "GET /3 ");
  peer.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel");
  peer.send("lo" + get("/who"));
  CHECK(read_answer(peer).body == "POST /x hello");
  CHECK(read_answer(peer).body == "127.0.0.1 development");
}

TEST_CASE("A hundred requests in one packet neither stall nor mix") {
  HttpServer server;
  Peer peer(server.open_http());
  std::string all;
  for (int i = 0; i < 100; ++i) {
    all += get("/" + std::to_string(i));
  }
  peer.send(all);
  for (int i = 0; i < 100; ++i) {
    CHECK(read_answer(peer).body == "GET /" + std::to_string(i) + " ");
  }
}

TEST_CASE("The connection ends when the client wants it to") {
  HttpServer server;
  const std::uint16_t port = server.open_http();
  Peer closing(port);
  closing.send(get("/1", "Connection: close\r\n"));
  CHECK(read_answer(closing).head.find("Connection: close") != std::string::npos);
  CHECK(closing.read_all().empty());
  Peer old(port);
  old.send("GET /1 HTTP/1.0\r\n\r\n");
  CHECK(read_answer(old).body == "GET /1 ");
  CHECK(old.read_all().empty());
  Peer half(port);
  half.send(get("/pool"));
  half.shutdown_write();
  CHECK(read_answer(half).body == "GET /pool ");
  CHECK(half.read_all().empty());
}

TEST_CASE("Continue is said before the body") {
  HttpServer server;
  Peer peer(server.open_http());
  peer.send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  CHECK(read_answer(peer).head == "HTTP/1.1 100 Continue\r\n\r\n");
  peer.send("ok");
  CHECK(read_answer(peer).body == "PUT /x ok");
}

TEST_CASE("HEAD gets the head only") {
  HttpServer server;
  Peer peer(server.open_http());
  peer.send("HEAD /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const std::string all = peer.read_all();
  CHECK(all.find("Content-Length: 8") != std::string::npos);
  CHECK(all.ends_with("\r\n\r\n"));
}

TEST_CASE("What is malformed or too large is refused and the refusal arrives") {
  GatewayLimits limits;
  limits.http_body_bytes_max = 1000;
  HttpServer server(limits);
  const std::uint16_t port = server.open_http();
  Peer malformed(port);
  malformed.send("NONSENSE\r\n\r\n");
  CHECK(has_status(read_answer(malformed), 400));
  CHECK(malformed.read_all().empty());
  Peer large(port);
  large.send(
      "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n" + std::string(300000, 'b')
  );
  CHECK(has_status(read_answer(large), 413));
  CHECK(large.read_all().empty());
  Peer at_the_limit(port);
  at_the_limit.send(
      "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + std::string(1000, 'b')
  );
  CHECK(has_status(read_answer(at_the_limit), 200));
  Peer head(port);
  head.send(get("/", "A: " + std::string(17000, 'a') + "\r\n"));
  CHECK(!has_status(read_answer(head), 200));
}

TEST_CASE("Large answers leave as the peer takes them") {
  HttpServer server;
  Peer peer(server.open_http());
  peer.send(get("/large") + get("/after"));
  CHECK(read_answer(peer).body.size() == 8 * 1024 * 1024);
  CHECK(read_answer(peer).body == "GET /after ");
}

TEST_CASE("A reply to a connection that is gone goes nowhere") {
  HttpServer server;
  const std::uint16_t port = server.open_http();
  for (int i = 0; i < 50; ++i) {
    Peer peer(port);
    peer.send(get("/pool"));
    peer.reset();
  }
  CHECK(server.seen.eventually([&] { return server.gateway.open_connections() == 0; }));
}

TEST_CASE("Idle and unanswered connections are ended") {
  GatewayLimits limits;
  limits.http_idle_timeout = 1s;
  limits.http_reply_timeout = 1s;
  limits.http_request_timeout = 1s;
  HttpServer server(limits);
  const std::uint16_t port = server.open_http();
  Peer idle(port);
  Peer slow(port);
  Peer never(port);
  idle.send(get("/1"));
  slow.send(get("/1").substr(0, 10));
  never.send(get("/never"));
  CHECK(read_answer(idle).body == "GET /1 ");
  CHECK(idle.read_all().empty());
  CHECK(!has_status(read_answer(slow), 200));
  CHECK(slow.read_all().empty());
  CHECK(!has_status(read_answer(never), 200));
  CHECK(never.read_all().empty());
}

TEST_CASE("MQTT runs over an accepted WebSocket, on the session's worker") {
  HttpServer server;
  const std::uint16_t port = server.open_http();
  for (int i = 0; i < 8; ++i) {
    const std::string id = "ws-" + std::to_string(i);
    Peer peer(port);
    SECTION("step by step " + std::to_string(i)) {
      peer.send(upgrade("/mqtt"));
      CHECK(has_status(read_answer(peer), 101));
      for (const char c : packet(kConnect, id)) {
        peer.send(masked_frame(std::string(1, c)));
      }
    }
    SECTION("without waiting " + std::to_string(i)) {
      peer.send(upgrade("/mqtt?X-Amz-Algorithm=x") + masked_frame(packet(kConnect, id)));
      CHECK(has_status(read_answer(peer), 101));
    }
    if (server.seen.eventually([&] { return !server.seen.peers.empty(); }) && peer.fd() >= 0) {
      const std::string owner = std::to_string(index(server.workers.owner_of(id)));
      CHECK(frame_payload(peer) == packet(kHello, owner));
      peer.send(masked_frame(packet(kEcho, "a") + packet(kEcho, "b")));
      CHECK(frame_payload(peer) == packet(kEcho, "a") + packet(kEcho, "b"));
      peer.send(std::string("\x89\x80mask", 6));
      CHECK(peer.read(2) == std::string("\x8A\x00", 2));
      CHECK(server.seen.websocket.back());
      CHECK(server.seen.peers.back().principal == "AKID");
      return;
    }
  }
}

TEST_CASE("A WebSocket ends in order on both sides") {
  HttpServer server;
  Peer peer(server.open_http());
  peer.send(upgrade("/mqtt") + masked_frame(packet(kConnect, "ws")));
  CHECK(has_status(read_answer(peer), 101));
  CHECK(frame_payload(peer)[0] == kHello);
  SECTION("by a close frame") {
    peer.send(
        std::string("\x88\x82mask", 6) + static_cast<char>(0x03 ^ 'm') +
        static_cast<char>(0xE8 ^ 'a')
    );
    CHECK(peer.read_all() == "\x88\x02\x03\xE8");
    CHECK(server.seen.closed_with(CloseReason::kConnectionLost));
  }
  SECTION("by breaking the protocol") {
    peer.send("\x82\x01x");
    CHECK(peer.read_all() == "\x88\x02\x03\xEA");
    CHECK(server.seen.closed_with(CloseReason::kConnectionLost));
  }
  SECTION("by the client's own last packet") {
    peer.send(masked_frame(packet(kError, "")));
    CHECK(frame_payload(peer) == packet('y', ""));
    CHECK(peer.read_all() == "\x88\x02\x03\xE8");
    CHECK(server.seen.closed_with(CloseReason::kClientError));
  }
}

TEST_CASE("What an upgrade said comes to who decides on CONNECT, and its end of life is kept") {
  HttpServer server;
  Peer peer(server.open_http());
  peer.send(upgrade("/mqtt?short") + masked_frame(packet(kConnect, "ws")));
  CHECK(has_status(read_answer(peer), 101));
  CHECK(frame_payload(peer)[0] == kHello);
  const broker::PeerIdentity& seen = server.seen.peers.back();
  REQUIRE(seen.evidence);
  CHECK(seen.evidence->query == "short");
  CHECK(
      std::find(
          seen.evidence->headers.begin(),
          seen.evidence->headers.end(),
          std::pair<std::string, std::string>("Upgrade", "websocket")
      ) != seen.evidence->headers.end()
  );
  CHECK(peer.read_all() == "\x88\x02\x03\xE8");
  CHECK(server.seen.closed_with(CloseReason::kWebsocketTtl));
}

TEST_CASE("A flood over a WebSocket arrives whole at a slow peer") {
  HttpServer server;
  Peer peer(server.open_http());
  peer.send(
      upgrade("/mqtt") + masked_frame(packet(kConnect, "ws")) + masked_frame(packet(kFlood, ""))
  );
  CHECK(has_status(read_answer(peer), 101));
  std::string data;
  const std::size_t wanted =
      packet(kHello, "0").size() + 64 * packet(kEcho, std::string(64 * 1024, 'x')).size();
  while (data.size() < wanted) {
    const std::string head = peer.read(2);
    REQUIRE(head.size() == 2);
    std::size_t n = static_cast<unsigned char>(head[1]);
    if (n >= 126) {
      std::size_t length = 0;
      for (const char c : peer.read(n == 126 ? 2 : 8)) {
        length = length << 8 | static_cast<unsigned char>(c);
      }
      n = length;
    }
    data += peer.read(n);
  }
  CHECK(data.size() == wanted);
  CHECK(data.substr(data.size() - 3) == "lll");
}

TEST_CASE("A refused upgrade is answered before it") {
  HttpServer server;
  const std::uint16_t port = server.open_http();
  Peer denied(port);
  denied.send(upgrade("/mqtt?deny") + get("/next"));
  CHECK(has_status(read_answer(denied), 403));
  CHECK(read_answer(denied).body == "GET /next ");
  Peer wrong(port);
  wrong.send(get("/mqtt", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  CHECK(has_status(read_answer(wrong), 400));
  Peer elsewhere(port);
  elsewhere.send(upgrade("/other"));
  CHECK(read_answer(elsewhere).body == "GET /other ");
}

TEST_CASE("One port can tell MQTT from HTTP by the first byte") {
  HttpServer server;
  const std::uint16_t port = server.open_http(true);
  Peer mqtt(port);
  mqtt.send(packet(kConnect, "device"));
  CHECK(mqtt.read_packet()[0] == kHello);
  Peer http(port);
  http.send(get("/1"));
  CHECK(read_answer(http).body == "GET /1 ");
}
