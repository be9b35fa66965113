#include "registry/pki/certificate_parts.h"

#include "base/crypto.h"
#include "base/files.h"
#include "tests/certificate_reference.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

namespace iotcore::registry::pki {
namespace {

struct Made {
  std::string pem;
  bool strong;
};

// One that openssl makes by these options.
std::string made_by(const std::string& options) {
  const auto folder = std::filesystem::temp_directory_path() / new_uuid();
  std::filesystem::create_directory(folder);
  const std::string line = "cd " + folder.string() +
                           " && printf '[r]\\ndistinguished_name=d\\n[d]\\n' > cfg && openssl req "
                           "-x509 -config cfg -nodes -keyout key -out cert " +
                           options + " >/dev/null 2>&1";
  const int code = std::system(line.c_str());
  auto pem = read_file(folder / "cert");
  std::filesystem::remove_all(folder);
  INFO(options);
  REQUIRE(code == 0);
  return pem.value();
}

const std::string kP256 = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 ";

std::vector<Made> kinds() {
  return {
      {made_by(kP256 + "-subj /CN=lamp"), true},
      {made_by(kP256 + "-subj / -days 36500"), true},
      {made_by(kP256 + "-subj /CN=x -days 1000000"), true},  // beyond 2262
      {made_by(
           kP256 + "-utf8 -subj '/C=DE/ST=Bayern/O=Süd/OU=a/OU=b/CN=Größe/serialNumber=7/title=T'"
       ),
       true},
      {made_by(kP256 + "-subj /CN=x+OU=y -multivalue-rdn -set_serial -5"), true},
      {made_by(kP256 + "-subj /CN=x -set_serial 0xFFFFFFFFFFFFFFFF"), true},
      {made_by(
           kP256 + "-subj /CN=x -addext keyUsage=critical,digitalSignature -addext "
                   "subjectAltName=DNS:lamp.example,IP:192.0.2.1,email:a@example.com"
       ),
       true},
      {made_by(kP256 + "-subj /CN=x -pkeyopt ec_param_enc:explicit"), true},
      {made_by("-newkey ec -pkeyopt ec_paramgen_curve:P-384 -subj /CN=x -sha384"), true},
      {made_by("-newkey ec -pkeyopt ec_paramgen_curve:P-521 -subj /CN=x -sha512"), true},
      {made_by("-newkey ec -pkeyopt ec_paramgen_curve:secp256k1 -subj /CN=x"), false},
      {made_by("-newkey rsa:2048 -subj /CN=x"), true},
      {made_by("-newkey rsa:1024 -subj /CN=x"), false},
      {made_by("-newkey rsa-pss -subj /CN=x"), true},
      {made_by("-newkey ed25519 -subj /CN=x"), true},
      {made_by("-newkey ed448 -subj /CN=x"), false},
  };
}

TEST_CASE("a certificate of any kind is read as OpenSSL's own object reads it") {
  for (const Made& made : kinds()) {
    INFO(made.pem);
    const auto x509 = certificate_from_pem(made.pem);
    REQUIRE(x509 != nullptr);
    const std::string broken = std::string(made.pem).insert(100, "\n");
    const std::string short_of_a_newline = made.pem.substr(0, made.pem.size() - 1);
    for (const std::string& pem :
         {made.pem,
          "a lamp's\n" + made.pem,
          made.pem + made.pem,
          made.pem + "\n",
          short_of_a_newline,
          broken}) {
      const auto ours = parse_certificate_pem(pem);
      CHECK(test::difference(ours, x509.get()).empty());
      CHECK(ours->strong_key == made.strong);
    }
    const auto ours = parse_certificate_der(to_der(x509.get()) + "what stands behind it");
    CHECK(test::difference(ours, x509.get()).empty());
    CHECK(ERR_peek_error() == 0);
  }
  for (const std::string none :
       {"",
        "x",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nM===\n-----END CERTIFICATE-----\n"}) {
    CHECK_FALSE(parse_certificate_pem(none));
    CHECK_FALSE(parse_certificate_der(none));
  }
}

TEST_CASE("a point that is not on its curve is no key") {
  const auto parts = parts_from_pem(made_by(kP256 + "-subj /CN=x"));
  REQUIRE(has_strong_key(*parts));
  const ASN1_BIT_STRING* bits = parts->body->key->bits;
  std::string key(
      reinterpret_cast<const char*>(bits->data), static_cast<std::size_t>(bits->length)
  );
  std::string der = to_der(*parts);
  const std::size_t at = der.find(key);
  REQUIRE(at != der.npos);
  der[at + key.size() - 1] = static_cast<char>(der[at + key.size() - 1] ^ 1);
  const auto spoilt = parse_certificate_der(der);
  REQUIRE(spoilt);
  CHECK_FALSE(spoilt->strong_key);
  CHECK(test::difference(spoilt, certificate_from_der(der).get()).empty());
}

TEST_CASE("a certificate that has been spoilt is read as OpenSSL's own object reads it") {
  std::mt19937 random(7);
  std::size_t taken = 0;
  for (const Made& made : kinds()) {
    const std::string der = to_der(certificate_from_pem(made.pem).get());
    for (int round = 0; round < 300; ++round) {
      std::string spoilt = der;
      const auto at = random() % der.size();
      switch (random() % 4) {
        case 0:
          spoilt.erase(at, 1 + random() % 3);
          break;
        case 1:
          spoilt.insert(at, 1, static_cast<char>(random()));
          break;
        case 2:
          spoilt[at] =
              static_cast<char>(static_cast<unsigned char>(spoilt[at]) ^ (1U << random() % 8));
          break;
        default:
          spoilt[at] = static_cast<char>(random());
      }
      const auto ours = parse_certificate_der(spoilt);
      INFO(to_hex(spoilt));
      REQUIRE(test::difference(ours, certificate_from_der(spoilt).get()) == "");
      taken += ours ? 1 : 0;
    }
  }
  CHECK(taken > 1000);
}

}  // namespace
}  // namespace iotcore::registry::pki
