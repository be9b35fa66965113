#include "registry/pki/token_signature.h"

#include "registry/pki/openssl.h"

#include <openssl/err.h>

namespace iotcore::registry::pki {
namespace {

using DigestPtr = std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>>;

KeyPtr public_key_from_pem(std::string_view pem) {
  KeyPtr key(PEM_read_bio_PUBKEY(read_bio(pem).get(), nullptr, no_passphrase, nullptr));
  ERR_clear_error();
  return key;
}

}  // namespace

Status check_token_key(std::string_view public_key_pem) {
  const KeyPtr key = public_key_from_pem(public_key_pem);
  if (key == nullptr || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA ||
      EVP_PKEY_get_bits(key.get()) < 2048) {
    return fail(
        Errc::kInvalidRequest,
        "A token signing key must be an RSA public key of at least 2048 bits in PEM form"
    );
  }
  return {};
}

bool is_token_signature(
    std::string_view public_key_pem, std::string_view token, std::string_view signature
) {
  const KeyPtr key = public_key_from_pem(public_key_pem);
  const DigestPtr digest(EVP_MD_CTX_new());
  const bool verified =
      key != nullptr && digest != nullptr &&
      EVP_DigestVerifyInit(digest.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
      EVP_DigestVerify(
          digest.get(),
          reinterpret_cast<const unsigned char*>(signature.data()),
          signature.size(),
          reinterpret_cast<const unsigned char*>(token.data()),
          token.size()
      ) == 1;
  ERR_clear_error();
  return verified;
}

}  // namespace iotcore::registry::pki
