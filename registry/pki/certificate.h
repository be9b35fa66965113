#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry::pki {

// The attributes of a subject or an issuer under the names that policy variables use (auth.md
// section 7): "CommonName", "AlternativeName.DNSName", …; each with its values in the order of the
// certificate.
using NameAttributes = std::map<std::string, std::vector<std::string>, std::less<>>;

// What the rest of the program wants to know of an X.509 certificate.
struct Certificate {
  std::string id;  // SHA-256 of the DER form, 64 lower-case hex digits
  std::string der;
  WallTime not_before;
  WallTime not_after;
  std::string serial_number;  // lower-case hex, whole bytes
  NameAttributes subject;
  NameAttributes issuer;
  std::string subject_hash;  // SHA-256 of the name's DER form, in hex
  std::string issuer_hash;
  bool strong_key = false;  // RSA of 2048 bits or more, P-256, P-384, P-521 or Ed25519

  bool valid_at(WallTime t) const { return not_before <= t && t <= not_after; }
};

// kCertificateValidation if it is none.
Result<Certificate> parse_certificate_der(std::string_view der);
Result<Certificate> parse_certificate_pem(std::string_view pem);

// Whether it says of itself that it is a CA's (basicConstraints CA:TRUE), and its key may sign certificates.
bool is_ca_certificate(std::string_view der);

// Whether the CA named in the certificate is this one, and its key signed it.
bool is_issued_by(std::string_view der, std::string_view ca_der);

std::string certificate_id_of(std::string_view der);
std::string pem_from_der(std::string_view der);

}  // namespace iotcore::registry::pki
