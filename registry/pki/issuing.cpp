#include "registry/pki/issuing.h"

#include "base/crypto.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>

#include <algorithm>

namespace iotcore::registry::pki {
namespace {

constexpr const char* kEndOfDeviceCertificates = "20491231235959Z";

bool set_serial(X509* certificate) {
  // 20 bytes at most, positive, never zero (RFC 5280 4.1.2.2).
  std::string bytes = random_bytes(20);
  bytes[0] = static_cast<char>((bytes[0] & 0x3F) | 0x40);
  const BignumPtr number(BN_bin2bn(
      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr
  ));
  return number != nullptr &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_validity(X509* certificate, const CertificateTemplate& from) {
  const auto set = [](ASN1_TIME* field, WallTime t) {
    return ASN1_TIME_set(field, static_cast<time_t>(to_epoch_s(t))) != nullptr;
  };
  if (!set(X509_getm_notBefore(certificate), from.not_before)) {
    return false;
  }
  ASN1_TIME* end = X509_getm_notAfter(certificate);
  return from.not_after ? set(end, *from.not_after)
                        : ASN1_TIME_set_string_X509(end, kEndOfDeviceCertificates) == 1;
}

bool add_extensions(X509* certificate, X509* issuer, const std::vector<Extension>& extensions) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  return std::all_of(extensions.begin(), extensions.end(), [&](const Extension& e) {
    const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, e.nid, e.value.c_str()));
    return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
  });
}

Result<KeyPtr> checked(KeyPtr key) {
  if (key == nullptr) {
    return fail(openssl_error("making a key"));
  }
  return key;
}

}  // namespace

Result<KeyPtr> make_rsa_key() {
  return checked(KeyPtr(EVP_RSA_gen(2048)));
}

Result<KeyPtr> make_p256_key() {
  return checked(KeyPtr(EVP_EC_gen("P-256")));
}

NamePtr make_name(std::string_view common_name, std::string_view organization) {
  NamePtr name(X509_NAME_new());
  const auto add = [&name](const char* field, std::string_view value) {
    if (!value.empty()) {
      X509_NAME_add_entry_by_txt(
          name.get(),
          field,
          MBSTRING_UTF8,
          reinterpret_cast<const unsigned char*>(value.data()),
          static_cast<int>(value.size()),
          -1,
          0
      );
    }
  };
  add("O", organization);
  add("CN", common_name);
  return name;
}

std::vector<Extension> ca_extensions(const char* basic_constraints) {
  return {
      {NID_basic_constraints, basic_constraints},
      {NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature"},
      {NID_subject_key_identifier, "hash"},
      {NID_authority_key_identifier, "keyid:always"}};
}

Result<X509Ptr> make_certificate(
    const CertificateTemplate& from, X509* issuer, EVP_PKEY* issuer_key
) {
  X509Ptr certificate(X509_new());
  X509* x = certificate.get();
  const X509_NAME* issuer_name = issuer == nullptr ? from.subject : X509_get_subject_name(issuer);
  const bool made = x != nullptr && X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
                    set_validity(x, from) && X509_set_subject_name(x, from.subject) == 1 &&
                    X509_set_issuer_name(x, issuer_name) == 1 &&
                    X509_set_pubkey(x, from.public_key) == 1 &&
                    add_extensions(x, issuer == nullptr ? x : issuer, from.extensions) &&
                    X509_sign(x, issuer_key, EVP_sha256()) > 0;
  if (!made) {
    return fail(openssl_error("making a certificate"));
  }
  return certificate;
}

}  // namespace iotcore::registry::pki
