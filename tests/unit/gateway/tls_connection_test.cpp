#include "base/crypto.h"
#include "gateway_fixture.h"
#include "net/tls_context.h"
#include "tests/unit/tls_identity.h"

#include <openssl/ec.h>

using namespace iotcore;
using namespace iotcore::gateway;
using broker::CloseReason;
using broker::PeerIdentity;
using namespace iotcore::test;

namespace {

struct TlsPeerOptions {
  const Identity* identity = nullptr;
  std::string alpn = {};  // one name
  std::string server_name = {};
  int version = TLS1_3_VERSION;
  SSL_SESSION* session = nullptr;
  const char* suites = nullptr;
};

class TlsPeer {
 public:
  TlsPeer(std::uint16_t port, const TlsPeerOptions& options)
      : socket_(port), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_min_proto_version(context_.get(), options.version);
    SSL_CTX_set_max_proto_version(context_.get(), options.version);
    SSL_CTX_set_security_level(context_.get(), 0);  // what is too weak, the server has to find out
    if (options.suites != nullptr) {
      SSL_CTX_set_cipher_list(context_.get(), options.suites);
    }
    if (options.identity != nullptr) {
      SSL_CTX_use_certificate(context_.get(), options.identity->certificate.get());
      SSL_CTX_use_PrivateKey(context_.get(), options.identity->key.get());
    }
    ssl_.reset(SSL_new(context_.get()));
    if (!options.alpn.empty()) {
      const std::string list = static_cast<char>(options.alpn.size()) + options.alpn;
      SSL_set_alpn_protos(
          ssl_.get(),
          reinterpret_cast<const unsigned char*>(list.data()),
          static_cast<unsigned>(list.size())
      );
    }
    if (!options.server_name.empty()) {
      SSL_ctrl(
          ssl_.get(),
          SSL_CTRL_SET_TLSEXT_HOSTNAME,
          TLSEXT_NAMETYPE_host_name,
          const_cast<char*>(options.server_name.c_str())
      );
    }
    if (options.session != nullptr) {
      SSL_set_session(ssl_.get(), options.session);
    }
    SSL_set_fd(ssl_.get(), socket_.fd());
    connected_ = SSL_connect(ssl_.get()) == 1;
  }

  bool connected() const { return connected_; }

  SSL* ssl() { return ssl_.get(); }

  Peer& socket() { return socket_; }

  std::string alpn() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }

  bool send(std::string_view bytes) {
    return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) ==
           static_cast<int>(bytes.size());
  }

  std::string read(std::size_t n) {
    std::string out(n, '\0');
    std::size_t got = 0;
    while (got < n) {
      const int more = SSL_read(ssl_.get(), out.data() + got, static_cast<int>(n - got));
      if (more <= 0) {
        break;
      }
      got += static_cast<std::size_t>(more);
    }
    out.resize(got);
    return out;
  }

  std::string read_packet() {
    const std::string head = read(5);
    if (head.size() < 5) {
      return head;
    }
    std::size_t n = 0;
    for (std::size_t i = 1; i < 5; ++i) {
      n = n << 8 | static_cast<unsigned char>(head[i]);
    }
    return head + read(n);
  }

 private:
  Peer socket_;
  ClientContext context_;
  ClientSsl ssl_;
  bool connected_ = false;
};

struct TlsServer : Server {
  Identity identity{"server"};
  std::unique_ptr<net::TlsContext> tls;

  explicit TlsServer(net::TlsServerConfig config = {}) {
    config.certificate_chain_pem = identity.certificate_pem();
    config.private_key_pem = identity.key_pem();
    auto made = net::TlsContext::make(std::move(config));
    REQUIRE(made);
    tls = std::move(*made);
  }

  ~TlsServer() { stop(); }

  std::uint16_t open_mqtts() {
    FaceConfig face;
    face.name = "mqtts";
    face.mqtt = true;
    face.tls = tls.get();
    return open(std::move(face));
  }
};

}  // namespace

TEST_CASE("A client certificate of any issuer is taken, and told by its fingerprint") {
  TlsServer server;
  const std::uint16_t port = server.open_mqtts();
  const Identity device("device");
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsPeer peer(port, {.identity = &device, .server_name = "iot.example", .version = version});
    REQUIRE(peer.connected());
    REQUIRE(peer.send(packet(kConnect, "device-1") + packet(kEcho, "secret")));
    CHECK(peer.read_packet()[0] == kHello);
    CHECK(peer.read_packet() == packet(kEcho, "secret"));
    const PeerIdentity& seen = server.seen.peers.back();
    CHECK(seen.kind == PeerIdentity::Kind::kCertificate);
    CHECK(seen.certificate_der == device.der());
    CHECK(seen.principal == to_hex(as_text(sha256(device.der()))));
    CHECK(seen.server_name == "iot.example");
  }
  CHECK(server.metric("iotcore_tls_handshakes_total{result=\"ok\"}") == 2);
}

TEST_CASE("A client without a certificate is anonymous") {
  TlsServer server;
  TlsPeer peer(server.open_mqtts(), {});
  REQUIRE(peer.connected());
  REQUIRE(peer.send(packet(kConnect, "device-1")));
  CHECK(peer.read_packet()[0] == kHello);
  CHECK(server.seen.peers.back().kind == PeerIdentity::Kind::kAnonymous);
}

TEST_CASE("Clients prove keys of every allowed kind, and no others") {
  struct Row {
    const char* name;
    EVP_PKEY* (*make)();
    bool allowed;
  };

  const std::array rows = {
      Row{"P-384", [] { return EVP_EC_gen("P-384"); }, true},
      Row{"P-521", [] { return EVP_EC_gen("P-521"); }, true},
      Row{"RSA 2048", [] { return EVP_RSA_gen(2048); }, true},
      Row{"Ed25519", [] { return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"); }, true},
      Row{"RSA 1024", [] { return EVP_RSA_gen(1024); }, false},
  };
  TlsServer server;
  const std::uint16_t port = server.open_mqtts();
  for (const Row& row : rows) {
    const Identity device("device", row.make());
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      CAPTURE(row.name, version);
      TlsPeer peer(port, {.identity = &device, .version = version});
      peer.send(packet(kConnect, "device"));
      const bool answered = peer.read_packet().starts_with(kHello);
      const std::lock_guard lock(server.seen.mutex);
      CHECK((answered && server.seen.peers.back().certificate_der == device.der()) == row.allowed);
    }
  }
}

TEST_CASE("Old suites are for listeners whose policy has them") {
  const auto suite_taken = [](const char* policy, const char* suite) {
    net::TlsServerConfig config;
    config.policy = net::find_tls_policy(policy);
    REQUIRE(config.policy != nullptr);
    TlsServer server(std::move(config));
    TlsPeer peer(server.open_mqtts(), {.version = TLS1_2_VERSION, .suites = suite});
    return peer.connected();
  };
  CHECK(suite_taken("default", "ECDHE-ECDSA-AES128-GCM-SHA256"));
  CHECK(suite_taken("default", "ECDHE-ECDSA-CHACHA20-POLY1305"));
  CHECK_FALSE(suite_taken("default", "ECDHE-ECDSA-AES128-SHA256"));
  for (const char* suite :
       {"ECDHE-ECDSA-AES128-SHA256",
        "ECDHE-ECDSA-AES256-SHA384",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA"}) {
    CAPTURE(suite);
    CHECK(suite_taken("IoTSecurityPolicy_TLS13_1_2_2022_10", suite));
    CHECK(suite_taken("IoTSecurityPolicy_TLS12_1_0_2015_01", suite));
  }
  CHECK_FALSE(suite_taken("IoTSecurityPolicy_TLS13_1_3_2022_10", "ECDHE-ECDSA-AES128-GCM-SHA256"));
  CHECK(net::find_tls_policy("IoTSecurityPolicy_TLS99") == nullptr);
}

TEST_CASE("Connections keep their TLS state when they move to the session's worker") {
  TlsServer server;
  const std::uint16_t port = server.open_mqtts();
  const Identity device("device");
  for (int i = 0; i < 16; ++i) {
    const std::string id = "device-" + std::to_string(i);
    TlsPeer peer(port, {.identity = &device});
    REQUIRE(peer.connected());
    REQUIRE(peer.send(packet(kConnect, id) + packet(kEcho, "one")));
    REQUIRE(peer.send(packet(kEcho, "two")));
    CHECK(peer.read_packet() == packet(kHello, std::to_string(index(server.workers.owner_of(id)))));
    CHECK(peer.read_packet() == packet(kEcho, "one"));
    CHECK(peer.read_packet() == packet(kEcho, "two"));
  }
}

TEST_CASE("Much data goes both ways through TLS, with a slow reader too") {
  TlsServer server;
  TlsPeer peer(server.open_mqtts(), {});
  REQUIRE(peer.connected());
  const std::string large(1'000'000, 'l');
  REQUIRE(peer.send(packet(kConnect, "device-1") + packet(kEcho, large)));
  CHECK(peer.read_packet()[0] == kHello);
  CHECK(peer.read_packet() == packet(kEcho, large));
  std::string many;
  for (int i = 0; i < 3000; ++i) {
    many += packet(kSink, std::string(100, 's'));
  }
  REQUIRE(peer.send(many + packet(kFlood, "")));
  std::this_thread::sleep_for(50ms);  // let the socket fill; the test holds without it too
  for (int i = 0; i < 64; ++i) {
    CHECK(
        peer.read_packet() == packet(kEcho, std::string(64 * 1024, static_cast<char>('a' + i % 26)))
    );
  }
  CHECK(server.seen.bytes == 300000);
}

TEST_CASE("ALPN names that are known are agreed on, others do not matter") {
  TlsServer server;
  const std::uint16_t port = server.open_mqtts();
  for (const std::string name : {"x-amzn-mqtt-ca", "mqtt", "http/1.1", "x-amzn-http-ca"}) {
    TlsPeer peer(port, {.alpn = name});
    CHECK(peer.connected());
    CHECK(peer.alpn() == name);
  }
  TlsPeer unknown(port, {.alpn = "h2"});
  CHECK(unknown.connected());
  CHECK(unknown.alpn().empty());
}

TEST_CASE("Certificates are asked for by ALPN name where the listener says so") {
  net::TlsServerConfig config;
  config.client_certificates = net::ClientCertificates::kByAlpn;
  TlsServer server(std::move(config));
  const std::uint16_t port = server.open_mqtts();
  const Identity device("device");
  const auto kind_with = [&](const std::string& alpn, int version) {
    TlsPeer peer(port, {.identity = &device, .alpn = alpn, .version = version});
    REQUIRE(peer.connected());
    REQUIRE(peer.send(packet(kConnect, "device-1")));
    REQUIRE(peer.read_packet()[0] == kHello);
    return server.seen.peers.back().kind;
  };
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CHECK(kind_with("x-amzn-mqtt-ca", version) == PeerIdentity::Kind::kCertificate);
    CHECK(kind_with("", version) == PeerIdentity::Kind::kCertificate);
    CHECK(kind_with("mqtt", version) == PeerIdentity::Kind::kAnonymous);
  }
}

TEST_CASE("A session is resumed with the client's certificate still known") {
  TlsServer server;
  const std::uint16_t port = server.open_mqtts();
  const Identity device("device");
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsPeer first(port, {.identity = &device, .version = version});
    REQUIRE(first.connected());
    REQUIRE(first.send(packet(kConnect, "device-1")));
    REQUIRE(first.read_packet()[0] == kHello);  // in TLS 1.3 the ticket comes with the first data
    const Session session(SSL_get1_session(first.ssl()));
    TlsPeer second(port, {.identity = &device, .version = version, .session = session.get()});
    REQUIRE(second.connected());
    CHECK(SSL_session_reused(second.ssl()) == 1);
    REQUIRE(second.send(packet(kConnect, "device-1")));
    CHECK(second.read_packet()[0] == kHello);
    CHECK(server.seen.peers.back().principal == to_hex(as_text(sha256(device.der()))));
  }
  CHECK(server.metric("iotcore_tls_resumed_total") == 2);
}

TEST_CASE("A name that the server does not answer for ends the handshake") {
  net::TlsServerConfig config;
  config.choose = [](std::string_view name) {
    using Answers = net::ServerNameChoice::Answers;
    return net::ServerNameChoice{
        name == "mine" || name == "modern" ? Answers::kYes : Answers::kIfOwn,
        name == "modern" ? net::find_tls_policy("IoTSecurityPolicy_TLS13_1_3_2022_10") : nullptr};
  };
  TlsServer server(std::move(config));
  const std::uint16_t port = server.open_mqtts();
  CHECK(TlsPeer(port, {.server_name = "mine"}).connected());
  CHECK(TlsPeer(port, {}).connected());
  CHECK(!TlsPeer(port, {.server_name = "other"}).connected());
  // A host may have a policy of its own.
  CHECK(TlsPeer(port, {.server_name = "modern", .version = TLS1_3_VERSION}).connected());
  CHECK(!TlsPeer(port, {.server_name = "modern", .version = TLS1_2_VERSION}).connected());
  CHECK(TlsPeer(port, {.server_name = "mine", .version = TLS1_2_VERSION}).connected());
}

TEST_CASE("Failed handshakes are counted and leave nothing behind") {
  TlsServer server;
  const std::uint16_t port = server.open_mqtts();
  Peer plain(port);
  plain.send(packet(kConnect, "this is not TLS"));
  static_cast<void>(plain.read_all());
  Peer gone(port);
  gone.send("\x16\x03\x01");
  gone.reset();
  CHECK(!TlsPeer(port, {.version = TLS1_1_VERSION}).connected());
  // A peer sees the end of a handshake before the server has counted it.
  CHECK(server.seen.eventually([&] {
    return server.metric("iotcore_tls_handshakes_total{result=\"failed\"}") == 3 &&
           server.gateway.open_connections() == 0;
  }));
}

TEST_CASE("A new server certificate holds for new connections, a broken one is refused") {
  TlsServer server;
  const std::uint16_t port = server.open_mqtts();
  const Identity renewed("renewed");
  const auto subject = [&] {
    TlsPeer peer(port, {});
    REQUIRE(peer.connected());
    const Certificate certificate(SSL_get1_peer_certificate(peer.ssl()));
    char name[64] = {};
    X509_NAME_get_text_by_NID(
        X509_get_subject_name(certificate.get()), NID_commonName, name, sizeof name
    );
    return std::string(name);
  };
  CHECK(subject() == "server");
  CHECK(!server.tls->reload(renewed.certificate_pem(), Identity("other").key_pem()));
  CHECK(!server.tls->reload("nonsense", "nonsense"));
  CHECK(subject() == "server");
  CHECK(server.tls->reload(renewed.certificate_pem(), renewed.key_pem()));
  CHECK(subject() == "renewed");
}

TEST_CASE("The last packet of a closing TLS connection arrives, then its close_notify") {
  TlsServer server;
  TlsPeer peer(server.open_mqtts(), {});
  REQUIRE(peer.connected());
  REQUIRE(peer.send(packet(kConnect, "device-1") + packet(kError, "")));
  CHECK(peer.read_packet()[0] == kHello);
  CHECK(peer.read_packet() == packet('y', ""));
  char byte = 0;
  const int end = SSL_read(peer.ssl(), &byte, 1);
  CHECK(SSL_get_error(peer.ssl(), end) == SSL_ERROR_ZERO_RETURN);
}
