// Any bytes as a certificate (DER, PEM) and as a request for one: what is taken can be told from others and written again, a CSR that is taken is answered with
// a certificate, and OpenSSL leaves no error behind for whoever comes next. What we read of one is what OpenSSL's own X509 object says.
#include "base/check.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "registry/pki/certificate.h"
#include "registry/pki/certificate_authority.h"
#include "tests/certificate_reference.h"

#include <openssl/err.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>

namespace {

using namespace iotcore;
using namespace iotcore::registry;

const pki::CertificateAuthority& authority() {
  static const SystemClock kClock;
  static const pki::CertificateAuthority kAuthority = [] {
    const auto folder = std::filesystem::temp_directory_path() / new_uuid();
    std::filesystem::create_directory(folder);
    auto opened = pki::CertificateAuthority::open(folder, kClock);
    std::filesystem::remove_all(folder);
    IOTCORE_CHECK(opened.has_value());
    return std::move(*opened);
  }();
  return kAuthority;
}

void check(const Result<pki::Certificate>& parsed) {
  if (!parsed) {
    return;
  }
  IOTCORE_CHECK(parsed->id.size() == 64 && parsed->id == pki::certificate_id_of(parsed->der));
  const auto again = pki::parse_certificate_pem(pki::pem_from_der(parsed->der));
  IOTCORE_CHECK(again.has_value());
  IOTCORE_CHECK(again->id == parsed->id && again->subject == parsed->subject);
  IOTCORE_CHECK(again->subject_hash == parsed->subject_hash);
  pki::is_issued_by(parsed->der, parsed->der);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto from_der = pki::parse_certificate_der(input);
  check(from_der);
  IOTCORE_CHECK(pki::test::difference(from_der, pki::certificate_from_der(input).get()).empty());
  const auto from_pem = pki::parse_certificate_pem(input);
  check(from_pem);
  IOTCORE_CHECK(pki::test::difference(from_pem, pki::certificate_from_pem(input).get()).empty());
  if (const auto made = authority().sign_device_request(input)) {
    const auto certificate = pki::parse_certificate_pem(*made);
    IOTCORE_CHECK(certificate.has_value());
    IOTCORE_CHECK(!pki::is_ca_certificate(certificate->der) && certificate->strong_key);
  }
  ERR_clear_error();
  return 0;
}
