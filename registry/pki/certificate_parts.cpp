#include "registry/pki/certificate_parts.h"

#include "base/check.h"
#include "base/crypto.h"

#include <openssl/asn1t.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#include <algorithm>
#include <array>
#include <optional>

namespace iotcore::registry::pki {
namespace {

using GroupPtr = std::unique_ptr<EC_GROUP, FreeWith<EC_GROUP_free>>;
using PointPtr = std::unique_ptr<EC_POINT, FreeWith<EC_POINT_free>>;

// RSAPublicKey (RFC 8017 appendix A.1.1).
struct RsaKeyParts {
  ASN1_INTEGER* modulus;
  ASN1_INTEGER* exponent;
};

// The members and their order are those of RFC 5280; the macros are the library's way to describe a type.
// clang-format off

ASN1_SEQUENCE(PublicKeyParts) = {
  ASN1_SIMPLE(PublicKeyParts, algorithm, X509_ALGOR),
  ASN1_SIMPLE(PublicKeyParts, bits, ASN1_BIT_STRING)
} ASN1_SEQUENCE_END(PublicKeyParts)

ASN1_SEQUENCE_enc(CertificateBody, encoding, 0) = {
  ASN1_EXP_OPT(CertificateBody, version, ASN1_INTEGER, 0),
  ASN1_SIMPLE(CertificateBody, serial_number, ASN1_INTEGER),
  ASN1_SIMPLE(CertificateBody, signature_algorithm, X509_ALGOR),
  ASN1_SIMPLE(CertificateBody, issuer, X509_NAME),
  ASN1_SIMPLE(CertificateBody, validity, X509_VAL),
  ASN1_SIMPLE(CertificateBody, subject, X509_NAME),
  ASN1_SIMPLE(CertificateBody, key, PublicKeyParts),
  ASN1_IMP_OPT(CertificateBody, issuer_id, ASN1_BIT_STRING, 1),
  ASN1_IMP_OPT(CertificateBody, subject_id, ASN1_BIT_STRING, 2),
  ASN1_EXP_SEQUENCE_OF_OPT(CertificateBody, extensions, X509_EXTENSION, 3)
} ASN1_SEQUENCE_END_enc(CertificateBody, CertificateBody)

ASN1_SEQUENCE(CertificateParts) = {
  ASN1_SIMPLE(CertificateParts, body, CertificateBody),
  ASN1_SIMPLE(CertificateParts, signature_algorithm, X509_ALGOR),
  ASN1_SIMPLE(CertificateParts, signature, ASN1_BIT_STRING)
} ASN1_SEQUENCE_END(CertificateParts)

ASN1_SEQUENCE(RsaKeyParts) = {
  ASN1_SIMPLE(RsaKeyParts, modulus, ASN1_INTEGER),
  ASN1_SIMPLE(RsaKeyParts, exponent, ASN1_INTEGER)
} ASN1_SEQUENCE_END(RsaKeyParts)

void free_rsa(RsaKeyParts* parts) {
  ASN1_item_free(reinterpret_cast<ASN1_VALUE*>(parts), ASN1_ITEM_rptr(RsaKeyParts));
}

// clang-format on

using RsaKeyPartsPtr = std::unique_ptr<RsaKeyParts, FreeWith<free_rsa>>;

std::string_view bytes_of(const ASN1_BIT_STRING* bits) {
  return {
      reinterpret_cast<const char*>(ASN1_STRING_get0_data(bits)),
      static_cast<std::size_t>(ASN1_STRING_length(bits))};
}

// Nothing: not one of the curves that a key may have.
const EC_GROUP* curve_of(int nid) {
  static const std::array<GroupPtr, 3> kCurves = {
      GroupPtr(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1)),
      GroupPtr(EC_GROUP_new_by_curve_name(NID_secp384r1)),
      GroupPtr(EC_GROUP_new_by_curve_name(NID_secp521r1)),
  };
  for (const GroupPtr& curve : kCurves) {
    if (EC_GROUP_get_curve_name(curve.get()) == nid) {
      return curve.get();
    }
  }
  return nullptr;
}

// A whole point (SEC 1 section 2.3.4) that is on the curve.
bool is_strong_curve_key(int curve_nid, std::string_view key) {
  constexpr char kUncompressed = 4;
  const EC_GROUP* curve = curve_of(curve_nid);
  if (curve == nullptr || key.empty() || key.front() != kUncompressed) {
    return false;
  }
  const PointPtr point(EC_POINT_new(curve));
  return EC_POINT_oct2point(
             curve,
             point.get(),
             reinterpret_cast<const unsigned char*>(key.data()),
             key.size(),
             nullptr
         ) == 1;
}

bool is_strong_rsa_key(std::string_view key) {
  constexpr int kStrong = 2048;
  constexpr int kUsual = 8192;
  const auto* at = reinterpret_cast<const unsigned char*>(key.data());
  const auto* end = at + key.size();
  const RsaKeyPartsPtr parts(reinterpret_cast<RsaKeyParts*>(
      ASN1_item_d2i(nullptr, &at, static_cast<long>(key.size()), ASN1_ITEM_rptr(RsaKeyParts))
  ));
  if (parts == nullptr || at != end || ASN1_STRING_type(parts->modulus) != V_ASN1_INTEGER ||
      ASN1_STRING_type(parts->exponent) != V_ASN1_INTEGER) {
    return false;
  }
  const BignumPtr modulus(ASN1_INTEGER_to_BN(parts->modulus, nullptr));
  const int bits = modulus == nullptr ? 0 : BN_num_bits(modulus.get());
  return bits >= kStrong && bits <= kUsual;
}

// Whether the key is one that devices usually have, and a strong one for certain. Most are, and whatever else there is takes long to find out.
bool is_usual_strong_key(const PublicKeyParts& key) {
  const ASN1_OBJECT* algorithm = nullptr;
  const void* parameters = nullptr;
  int kind = V_ASN1_UNDEF;
  X509_ALGOR_get0(&algorithm, &kind, &parameters, key.algorithm);
  switch (OBJ_obj2nid(algorithm)) {
    case NID_X9_62_id_ecPublicKey:
      return kind == V_ASN1_OBJECT &&
             is_strong_curve_key(
                 OBJ_obj2nid(static_cast<const ASN1_OBJECT*>(parameters)), bytes_of(key.bits)
             );
    case NID_rsaEncryption:
      return kind == V_ASN1_NULL && is_strong_rsa_key(bytes_of(key.bits));
    default:
      return false;
  }
}

std::string der_of(const void* value, const ASN1_ITEM* type) {
  unsigned char* out = nullptr;
  const int size = ASN1_item_i2d(static_cast<const ASN1_VALUE*>(value), &out, type);
  IOTCORE_CHECK(size > 0);
  std::string der(reinterpret_cast<const char*>(out), static_cast<std::size_t>(size));
  OPENSSL_free(out);
  return der;
}

// What stands between the two lines if the text is as it is usually written, and nothing else is in it: full lines of 64 characters and the rest. OpenSSL's reader,
// which takes much more than that, takes four times as long.
std::optional<std::string> der_of_usual_pem(std::string_view pem) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----\n";
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----\n";
  constexpr std::size_t kLine = 64;
  if (!pem.starts_with(kBegin) || !pem.ends_with(kEnd)) {
    return std::nullopt;
  }
  pem.remove_prefix(kBegin.size());
  pem.remove_suffix(std::min(kEnd.size(), pem.size()));
  std::string text;
  text.reserve(pem.size());
  while (!pem.empty()) {
    const std::size_t size = std::min(pem.find('\n'), pem.size());
    if (size == pem.size() || size == 0 || size > kLine ||
        (size < kLine && pem.size() != size + 1)) {
      return std::nullopt;
    }
    text.append(pem.substr(0, size));
    pem.remove_prefix(size + 1);
  }
  return text.empty() ? std::nullopt : from_base64(text);
}

}  // namespace

void free_parts(CertificateParts* parts) {
  ASN1_item_free(reinterpret_cast<ASN1_VALUE*>(parts), ASN1_ITEM_rptr(CertificateParts));
}

CertificatePartsPtr parts_from_pem(std::string_view pem) {
  if (const std::optional<std::string> der = der_of_usual_pem(pem)) {
    return parts_from_der(*der);
  }
  unsigned char* der = nullptr;
  long size = 0;
  const int found = PEM_bytes_read_bio(
      &der, &size, nullptr, PEM_STRING_X509, read_bio(pem).get(), no_passphrase, nullptr
  );
  ERR_clear_error();
  if (found != 1) {
    return nullptr;
  }
  CertificatePartsPtr parts =
      parts_from_der({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  return parts;
}

CertificatePartsPtr parts_from_der(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  CertificatePartsPtr parts(reinterpret_cast<CertificateParts*>(
      ASN1_item_d2i(nullptr, &at, static_cast<long>(der.size()), ASN1_ITEM_rptr(CertificateParts))
  ));
  ERR_clear_error();
  return parts;
}

std::string to_der(const CertificateParts& parts) {
  return der_of(&parts, ASN1_ITEM_rptr(CertificateParts));
}

bool has_strong_key(const CertificateParts& parts) {
  bool strong = is_usual_strong_key(*parts.body->key);
  if (!strong) {
    const std::string der = der_of(parts.body->key, ASN1_ITEM_rptr(PublicKeyParts));
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    const KeyPtr key(d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
    strong = key != nullptr && is_strong_key(key.get());
  }
  ERR_clear_error();
  return strong;
}

}  // namespace iotcore::registry::pki
