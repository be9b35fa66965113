#pragma once

#include "base/crypto.h"
#include "registry/pki/certificate.h"
#include "registry/pki/openssl.h"

#include <openssl/err.h>

#include <ctime>
#include <string>
#include <string_view>

// A certificate by OpenSSL's own X509 object, against which our reading of it is held.

namespace iotcore::registry::pki::test {

inline bool same_time(WallTime ours, const ASN1_TIME* time) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) {
    return false;
  }
  const std::int64_t seconds = ::timegm(&parts);
  constexpr std::int64_t kCounted = 9'223'372'035;  // that nanoseconds in 64 bits can count
  return seconds > kCounted || seconds < -kCounted ||
         ours == WallTime(std::chrono::seconds(seconds));
}

inline std::string serial_number_of(const X509* x509) {
  const BignumPtr number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), nullptr));
  const int size = number == nullptr ? 0 : BN_num_bytes(number.get());
  std::string bytes(static_cast<std::size_t>(size), '\0');
  if (number != nullptr) {
    BN_bn2bin(number.get(), reinterpret_cast<unsigned char*>(bytes.data()));
  }
  return to_hex(bytes);
}

inline std::string hash_of(const X509_NAME* name) {
  const unsigned char* der = nullptr;
  std::size_t size = 0;
  if (X509_NAME_get0_der(name, &der, &size) != 1) {
    return {};
  }
  return to_hex(as_text(sha256({reinterpret_cast<const char*>(der), size})));
}

// Empty, or what differs between the two readings.
inline std::string difference(const Result<Certificate>& ours, X509* x509) {
  std::tm parts = {};
  const bool readable = x509 != nullptr &&
                        ASN1_TIME_to_tm(X509_get0_notBefore(x509), &parts) == 1 &&
                        ASN1_TIME_to_tm(X509_get0_notAfter(x509), &parts) == 1;
  std::string out;
  if (ours.has_value() != readable) {
    out = "whether it is a certificate";
  } else if (readable) {
    const EVP_PKEY* key = X509_get0_pubkey(x509);
    out = ours->der != to_der(x509)                                    ? "DER form"
          : ours->strong_key != (key != nullptr && is_strong_key(key)) ? "key"
          : ours->serial_number != serial_number_of(x509)              ? "serial number"
          : ours->subject_hash != hash_of(X509_get_subject_name(x509)) ? "subject"
          : ours->issuer_hash != hash_of(X509_get_issuer_name(x509))   ? "issuer"
          : !same_time(ours->not_before, X509_get0_notBefore(x509))    ? "begin"
          : !same_time(ours->not_after, X509_get0_notAfter(x509))      ? "end"
                                                                       : "";
  }
  ERR_clear_error();
  return out;
}

}  // namespace iotcore::registry::pki::test
