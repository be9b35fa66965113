#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "registry/pki/openssl.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Making keys and certificates with OpenSSL. For the sources of this folder only.
namespace iotcore::registry::pki {

// Clocks of devices may be a little behind ours.
inline constexpr std::chrono::hours kBackdate{1};

struct Extension {
  int nid;
  std::string value;
};

struct CertificateTemplate {
  const X509_NAME* subject;
  EVP_PKEY* public_key;
  WallTime not_before;
  std::optional<WallTime> not_after;  // none: the end of device certificates
  std::vector<Extension> extensions;
};

Result<KeyPtr> make_rsa_key();
Result<KeyPtr> make_p256_key();

// Either may be empty.
NamePtr make_name(std::string_view common_name, std::string_view organization);

// Of a CA; "critical,CA:TRUE" for one that may have others under it, with ",pathlen:0" for one that may not.
std::vector<Extension> ca_extensions(const char* basic_constraints);

// Signed by the issuer's key; `issuer` is null for a certificate that signs itself.
Result<X509Ptr> make_certificate(
    const CertificateTemplate& from, X509* issuer, EVP_PKEY* issuer_key
);

}  // namespace iotcore::registry::pki
