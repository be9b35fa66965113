#include "registry/pki/openssl.h"

#include "base/check.h"

#include <openssl/err.h>

namespace iotcore::registry::pki {

Error openssl_error(std::string_view doing) {
  char reason[256] = "no reason given";
  if (const unsigned long code = ERR_peek_last_error(); code != 0) {
    ERR_error_string_n(code, reason, sizeof reason);
  }
  ERR_clear_error();
  return {Errc::kInternal, std::string(doing) + " failed: " + reason};
}

BioPtr read_bio(std::string_view bytes) {
  return BioPtr(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

std::string contents(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string to_pem(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  IOTCORE_CHECK(PEM_write_bio_X509(bio.get(), certificate) == 1);
  return contents(bio.get());
}

std::string to_der(X509* certificate) {
  const int size = i2d_X509(certificate, nullptr);
  IOTCORE_CHECK(size > 0);
  std::string der(static_cast<std::size_t>(size), '\0');
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_X509(certificate, &out);
  return der;
}

std::string private_key_to_pem(EVP_PKEY* key) {
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  IOTCORE_CHECK(
      PEM_write_bio_PrivateKey_traditional(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) ==
      1
  );
  return contents(bio.get());
}

std::string private_key_to_pem(EVP_PKEY* key, std::string_view passphrase) {
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  IOTCORE_CHECK(
      PEM_write_bio_PKCS8PrivateKey(
          bio.get(),
          key,
          EVP_aes_256_cbc(),
          passphrase.data(),
          static_cast<int>(passphrase.size()),
          nullptr,
          nullptr
      ) == 1
  );
  return contents(bio.get());
}

std::string public_key_to_pem(EVP_PKEY* key) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  IOTCORE_CHECK(PEM_write_bio_PUBKEY(bio.get(), key) == 1);
  return contents(bio.get());
}

bool is_strong_key(const EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
      return EVP_PKEY_get_bits(key) >= 2048;
    case EVP_PKEY_ED25519:
      return true;
    case EVP_PKEY_EC: {
      char group[64] = {};
      std::size_t size = 0;
      EVP_PKEY_get_group_name(key, group, sizeof group, &size);
      const int nid = OBJ_txt2nid(group);
      return nid == NID_X9_62_prime256v1 || nid == NID_secp384r1 || nid == NID_secp521r1;
    }
    default:
      return false;
  }
}

X509Ptr certificate_from_pem(std::string_view pem) {
  X509Ptr certificate(PEM_read_bio_X509(read_bio(pem).get(), nullptr, no_passphrase, nullptr));
  ERR_clear_error();
  return certificate;
}

X509Ptr certificate_from_der(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  return certificate;
}

KeyPtr private_key_from_pem(std::string_view pem, std::string_view passphrase) {
  // Terminated, and empty where there is none, so that an encrypted key fails instead of asking on the terminal.
  std::string given(passphrase);
  KeyPtr key(PEM_read_bio_PrivateKey(read_bio(pem).get(), nullptr, nullptr, given.data()));
  ERR_clear_error();
  return key;
}

RequestPtr request_from_pem(std::string_view pem) {
  RequestPtr request(PEM_read_bio_X509_REQ(read_bio(pem).get(), nullptr, no_passphrase, nullptr));
  ERR_clear_error();
  return request;
}

}  // namespace iotcore::registry::pki
