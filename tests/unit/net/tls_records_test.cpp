#include "net/tls_records.h"

#include "net/stream.h"
#include "net/tls_context.h"
#include "tests/unit/tls_identity.h"

#include <catch2/catch.hpp>

#include <array>
#include <fcntl.h>
#include <string>
#include <sys/socket.h>
#include <vector>

namespace iotcore::net::test {
namespace {

using namespace iotcore::test;

constexpr int kAes128 = 0x1301;

std::string from_hex(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

TrafficSecret secret_of(std::string_view hex) {
  const std::string bytes = from_hex(hex);
  TrafficSecret secret;
  std::copy(bytes.begin(), bytes.end(), secret.bytes.begin());
  secret.size = static_cast<std::uint8_t>(bytes.size());
  return secret;
}

TrafficSecret any_secret() {
  return secret_of("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5");
}

std::string sealed(RecordCipher& cipher, RecordType type, std::string_view plain) {
  std::string out(plain.size() + RecordCipher::kOverheadBytes, '\0');
  REQUIRE(cipher.seal(out.data(), type, plain) == out.data() + out.size());
  return out;
}

// Two ends of a connection without a network.
struct Pair {
  UniqueFd ours;
  UniqueFd theirs;

  explicit Pair(int buffer_bytes = 0) {
    std::array<int, 2> fds = {};
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()) == 0);
    ours = UniqueFd(fds[0]);
    theirs = UniqueFd(fds[1]);
    if (buffer_bytes != 0) {
      setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
    }
  }

  void say(std::string_view bytes) const {
    REQUIRE(
        ::send(theirs.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size())
    );
  }

  std::string hear() const {
    std::string out(1 << 20, '\0');
    const ssize_t n = ::recv(theirs.get(), out.data(), out.size(), 0);
    out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return out;
  }
};

// The records of a connection whose other end is a cipher in the test's hands.
struct Bare {
  Pair pair;
  RecordCipher to_us{*RecordCipher::find_suite(kAes128), any_secret(), 0};
  RecordCipher from_us{*RecordCipher::find_suite(kAes128), any_secret(), 0};
  TlsRecords records{*RecordCipher::find_suite(kAes128), any_secret(), any_secret(), 0, {}};
  std::string buffer = std::string(256 * 1024, '\0');

  ReadResult read() { return records.read(pair.ours.get(), buffer); }

  std::string text(const ReadResult& result) const { return buffer.substr(0, result.bytes); }

  // The alert that we sent.
  int alert() {
    std::string record = pair.hear();
    const auto opened = from_us.open(record);
    return opened.ok && opened.type == RecordType::kAlert && opened.bytes == 2
               ? record[RecordCipher::kHeaderBytes + 1]
               : -1;
  }
};

// A TLS 1.3 client of OpenSSL's and a stream of ours after the handshake.
struct Handshaken {
  Pair pair;
  Identity identity{"server"};
  std::unique_ptr<TlsContext> tls;
  Stream stream;
  std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>> context{SSL_CTX_new(TLS_client_method())};
  std::unique_ptr<SSL, Freed<SSL_free>> client;
  std::string buffer = std::string(256 * 1024, '\0');

  explicit Handshaken(const char* suites, int version = TLS1_3_VERSION, int buffer_bytes = 0)
      : pair(buffer_bytes) {
    TlsServerConfig config;
    config.certificate_chain_pem = identity.certificate_pem();
    config.private_key_pem = identity.key_pem();
    tls = TlsContext::make(std::move(config)).value();
    stream = tls->accept(std::move(pair.ours));
    SSL_CTX_set_max_proto_version(context.get(), version);
    SSL_CTX_set_ciphersuites(context.get(), suites);
    client.reset(SSL_new(context.get()));
    SSL_set_fd(client.get(), pair.theirs.get());
    SSL_set_connect_state(client.get());
    HandshakeStatus ours = HandshakeStatus::kWouldBlock;
    for (int i = 0; i < 10 && ours == HandshakeStatus::kWouldBlock; ++i) {
      if (SSL_do_handshake(client.get()) == 1 && i > 0) {
        // In the same flight as Finished: what the records begin with has been read by then.
        SSL_write(client.get(), "early", 5);
      }
      ours = stream.handshake();
    }
    REQUIRE(ours == HandshakeStatus::kDone);
    SSL_do_handshake(client.get());
    if (version == TLS1_2_VERSION) {
      SSL_write(client.get(), "early", 5);
    }
    stream.finish_handshake();
    CHECK(stream.is_tls());
    CHECK(take() == "early");
  }

  std::string take() {
    const ReadResult result = stream.read(buffer);
    return result.status == IoStatus::kOk ? buffer.substr(0, result.bytes) : "";
  }

  // Until so much has come.
  std::string client_reads(std::size_t bytes) {
    std::string out(bytes, '\0');
    std::size_t have = 0;
    std::size_t n = 0;
    while (have < bytes && SSL_read_ex(client.get(), out.data() + have, bytes - have, &n) == 1) {
      have += n;
    }
    out.resize(have);
    return out;
  }
};

TEST_CASE("RFC 8448: the record of application data of a simple handshake") {
  const RecordSuite& suite = *RecordCipher::find_suite(kAes128);
  RecordCipher client(suite, any_secret(), 0);
  std::string plain;
  for (int i = 0; i < 50; ++i) {
    plain.push_back(static_cast<char>(i));
  }
  const std::string record = from_hex(
      "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a2044"
      "1e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4"
  );
  CHECK(sealed(client, RecordType::kApplicationData, plain) == record);
  RecordCipher reader(suite, any_secret(), 0);
  std::string copy = record;
  const auto opened = reader.open(copy);
  CHECK(opened.ok);
  CHECK(opened.type == RecordType::kApplicationData);
  CHECK(copy.substr(RecordCipher::kHeaderBytes, opened.bytes) == plain);
}

TEST_CASE("TLS 1.3 goes on with OpenSSL's clients, in all suites, sizes and pieces") {
  for (const char* suite :
       {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}) {
    CAPTURE(suite);
    Handshaken both(suite);
    for (const std::size_t size : {1U, 100U, 16'384U, 16'385U, 100'000U}) {
      const std::string data(size, static_cast<char>('a' + size % 26));
      REQUIRE(SSL_write(both.client.get(), data.data(), static_cast<int>(size)) > 0);
      std::string got;
      for (std::string more; !(more = both.take()).empty();) {
        got += more;
      }
      CHECK(got == data);
      const WriteResult written = both.stream.write(data);
      CHECK(written.status == IoStatus::kOk);
      CHECK(written.bytes == size);
      CHECK(both.client_reads(size) == data);
    }
  }
}

TEST_CASE("TLS 1.3: both sides may change keys") {
  Handshaken both("TLS_AES_256_GCM_SHA384");
  for (const int kind : {SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED}) {
    for (int i = 0; i < 3; ++i) {
      REQUIRE(SSL_key_update(both.client.get(), kind) == 1);
      REQUIRE(SSL_write(both.client.get(), "new key", 7) == 7);
      CHECK(both.take() == "new key");
      CHECK(both.stream.write("answer").bytes == 6);
      CHECK(both.client_reads(6) == "answer");
    }
  }
}

TEST_CASE("TLS 1.3: a write that blocks goes on where it was") {
  Handshaken both("TLS_AES_128_GCM_SHA256", TLS1_3_VERSION, 8 * 1024);
  std::string data;
  for (int i = 0; data.size() < 300'000; ++i) {
    data += std::to_string(i) + ' ';
  }
  std::string heard;
  std::size_t written = 0;
  int blocked = 0;
  while (heard.size() < data.size()) {
    if (written < data.size()) {
      const WriteResult result = both.stream.write(std::string_view(data).substr(written));
      REQUIRE(result.status != IoStatus::kError);
      blocked += result.status == IoStatus::kWouldBlock ? 1 : 0;
      written += result.bytes;
    }
    heard += both.client_reads(5000);
  }
  CHECK(heard == data);
  CHECK(blocked > 5);
}

TEST_CASE("TLS 1.3: the end is told in both directions") {
  Handshaken both("TLS_AES_128_GCM_SHA256");
  REQUIRE(SSL_write(both.client.get(), "last", 4) == 4);
  SSL_shutdown(both.client.get());
  CHECK(both.take() == "last");
  CHECK(both.stream.read(both.buffer).status == IoStatus::kClosed);
  both.stream.shutdown_write();
  char byte = 0;
  CHECK(SSL_read(both.client.get(), &byte, 1) == 0);
  CHECK(SSL_get_error(both.client.get(), 0) == SSL_ERROR_ZERO_RETURN);
}

TEST_CASE("TLS 1.2 stays with OpenSSL") {
  Handshaken both("TLS_AES_128_GCM_SHA256", TLS1_2_VERSION);
  const std::string data(50'000, 'x');
  REQUIRE(SSL_write(both.client.get(), data.data(), 50'000) == 50'000);
  CHECK(both.take() == data);
  CHECK(both.stream.write(data).bytes == data.size());
  CHECK(both.client_reads(data.size()) == data);
}

TEST_CASE("Records that come byte by byte") {
  Bare one;
  std::string wire;
  for (const char* const text : {"first", "", "second"}) {
    wire += sealed(one.to_us, RecordType::kApplicationData, text);
  }
  std::string got;
  for (const char byte : wire) {
    one.pair.say({&byte, 1});
    const ReadResult result = one.read();
    REQUIRE(result.status != IoStatus::kError);
    REQUIRE(result.status != IoStatus::kClosed);
    got += one.text(result);
  }
  CHECK(got == "firstsecond");
}

TEST_CASE("What comes before a wrong record is still delivered, then nothing more") {
  struct Row {
    const char* what;
    std::string wire;
    int alert;
  };

  RecordCipher cipher(*RecordCipher::find_suite(kAes128), any_secret(), 1);
  std::string tampered = sealed(cipher, RecordType::kApplicationData, "secret");
  tampered[8] = static_cast<char>(tampered[8] ^ 1);
  const auto with = [](RecordType type, std::string_view plain) {
    RecordCipher second(*RecordCipher::find_suite(kAes128), any_secret(), 1);
    return sealed(second, type, plain);
  };
  const std::vector<Row> rows = {
      {"a changed byte", tampered, 20},
      {"a record shorter than its tag", std::string("\x17\x03\x03\0\x05hello", 10), 20},
      {"a record too long", std::string("\x17\x03\x03\x41\x01", 5), 22},
      {"an alert in the clear", std::string("\x15\x03\x03\0\x02\x02\x28", 7), 10},
      {"change_cipher_spec", std::string("\x14\x03\x03\0\x01\x01", 6), 10},
      {"a type that there is not", with(static_cast<RecordType>(99), "x"), 10},
      {"nothing but padding", with(static_cast<RecordType>(0), ""), 10},
      {"a handshake message other than KeyUpdate", with(RecordType::kHandshake, "\x0b\0\0\0"), 10},
      {"a KeyUpdate with more behind it",
       with(RecordType::kHandshake, std::string_view("\x18\0\0\1\0\x18", 6)),
       50},
      {"a KeyUpdate that asks for what there is not",
       with(RecordType::kHandshake, std::string_view("\x18\0\0\1\2", 5)),
       50},
      {"half an alert", with(RecordType::kAlert, "\x01"), 50},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    Bare one;
    one.pair.say(sealed(one.to_us, RecordType::kApplicationData, "good") + row.wire);
    const ReadResult first = one.read();
    CHECK(one.text(first) == "good");
    CHECK_FALSE(first.drained);
    CHECK(one.read().status == IoStatus::kError);
    CHECK(one.alert() == row.alert);
    CHECK(one.records.write(one.pair.ours.get(), "more").status == IoStatus::kError);
  }
}

TEST_CASE("A fatal alert ends the connection without an answer; a closed socket is an end as well"
) {
  Bare one;
  one.pair.say(sealed(one.to_us, RecordType::kAlert, "\x02\x28"));
  CHECK(one.read().status == IoStatus::kError);
  CHECK(one.pair.hear().empty());
  Bare other;
  other.pair.theirs.reset();
  CHECK(other.read().status == IoStatus::kClosed);
}

}  // namespace
}  // namespace iotcore::net::test
