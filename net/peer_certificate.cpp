// Keys are made by the functions that OpenSSL 3.0 calls deprecated: they cost a fiftieth of its decoders, and X509_set_pubkey takes their result without
// encoding and decoding it once more.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "net/peer_certificate.h"

#include "base/check.h"
#include "net/free_with.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

namespace iotcore::net {
namespace {

// AWS asks for 2048 at least (auth.md 2). Above the highest, checking a signature would cost more than a client should be able to make us spend.
constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 8192;

using Key = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using EcKey = std::unique_ptr<EC_KEY, FreeWith<EC_KEY_free>>;
using RsaKey = std::unique_ptr<RSA, FreeWith<RSA_free>>;

// ---- The certificate beside its session ----

void free_certificate(void* /*session*/, void* held, CRYPTO_EX_DATA* /*data*/, int /*index*/, long, void*) {
  delete static_cast<SharedPeerCertificate*>(held);
}

int copy_certificate(CRYPTO_EX_DATA* /*to*/, const CRYPTO_EX_DATA* /*from*/, void** held, int /*index*/, long, void*) {
  if (*held != nullptr) {
    *held = new SharedPeerCertificate(*static_cast<SharedPeerCertificate*>(*held));
  }
  return 1;
}

int certificate_index() {
  static const int index =
      SSL_SESSION_get_ex_new_index(0, nullptr, nullptr, copy_certificate, free_certificate);
  return index;
}

// ---- The key ----

const EC_GROUP* group_of(int curve) {
  switch (curve) {
    case NID_X9_62_prime256v1: {
      static const EC_GROUP* const p256 = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
      return p256;
    }
    case NID_secp384r1: {
      static const EC_GROUP* const p384 = EC_GROUP_new_by_curve_name(NID_secp384r1);
      return p384;
    }
    case NID_secp521r1: {
      static const EC_GROUP* const p521 = EC_GROUP_new_by_curve_name(NID_secp521r1);
      return p521;
    }
    default:
      return nullptr;
  }
}

// From a point of a named curve. Checks that it is one.
Key ec_key(const X509_ALGOR* algorithm, const unsigned char* bytes, std::size_t size) {
  const void* parameter = nullptr;
  int kind = 0;
  X509_ALGOR_get0(nullptr, &kind, &parameter, algorithm);
  const EC_GROUP* group = kind == V_ASN1_OBJECT
                              ? group_of(OBJ_obj2nid(static_cast<const ASN1_OBJECT*>(parameter)))
                              : nullptr;
  const EcKey ec(group == nullptr ? nullptr : EC_KEY_new());
  Key key(EVP_PKEY_new());
  const bool made = ec && key && EC_KEY_set_group(ec.get(), group) == 1 &&
                    EC_KEY_oct2key(ec.get(), bytes, size, nullptr) == 1 &&
                    EVP_PKEY_set1_EC_KEY(key.get(), ec.get()) == 1;
  return made ? std::move(key) : nullptr;
}

Key rsa_key(const unsigned char* bytes, std::size_t size) {
  const RsaKey rsa(d2i_RSAPublicKey(nullptr, &bytes, static_cast<long>(size)));
  Key key(EVP_PKEY_new());
  return rsa && key && EVP_PKEY_set1_RSA(key.get(), rsa.get()) == 1 ? std::move(key) : nullptr;
}

// The rare kinds, by OpenSSL's decoders in its default library context.
Key other_key(X509_PUBKEY* info) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(info, &der);
  const unsigned char* at = der;
  Key key(size > 0 ? d2i_PUBKEY(nullptr, &at, size) : nullptr);
  OPENSSL_free(der);
  return key;
}

Key make_key(X509* certificate) {
  X509_PUBKEY* info = X509_get_X509_PUBKEY(certificate);
  ASN1_OBJECT* kind = nullptr;
  const unsigned char* bytes = nullptr;
  int size = 0;
  X509_ALGOR* algorithm = nullptr;
  if (X509_PUBKEY_get0_param(&kind, &bytes, &size, &algorithm, info) != 1 || size <= 0) {
    return nullptr;
  }
  switch (OBJ_obj2nid(kind)) {
    case NID_X9_62_id_ecPublicKey:
      return ec_key(algorithm, bytes, static_cast<std::size_t>(size));
    case NID_rsaEncryption:
      return rsa_key(bytes, static_cast<std::size_t>(size));
    default:
      return other_key(info);
  }
}

bool is_allowed(const EVP_PKEY* key) {
  const bool rsa = EVP_PKEY_is_a(key, "RSA") == 1 || EVP_PKEY_is_a(key, "RSA-PSS") == 1;
  if (rsa) {
    const int bits = EVP_PKEY_get_bits(key);
    return bits >= kRsaBitsMin && bits <= kRsaBitsMax;
  }
  return EVP_PKEY_is_a(key, "EC") == 1 || EVP_PKEY_is_a(key, "ED25519") == 1;
}

// Gives the certificate its key, which OpenSSL needs to check the proof of possession, unless it has been decoded already.
bool provide_key(X509* certificate) {
  if (const EVP_PKEY* decoded = X509_get0_pubkey(certificate); decoded != nullptr) {
    return is_allowed(decoded);
  }
  ERR_clear_error();
  const Key key = make_key(certificate);
  return key && is_allowed(key.get()) && X509_set_pubkey(certificate, key.get()) == 1;
}

SharedPeerCertificate copy_of(X509* certificate) {
  const int size = i2d_X509(certificate, nullptr);
  if (size <= 0) {
    return nullptr;
  }
  auto out = std::make_shared<PeerCertificate>();
  out->der.resize(static_cast<std::size_t>(size));
  auto* at = reinterpret_cast<unsigned char*>(out->der.data());
  i2d_X509(certificate, &at);
  out->fingerprint = sha256(out->der);
  return out;
}

// Instead of OpenSSL's check of the chain.
int on_certificate(X509_STORE_CTX* shown, void* /*argument*/) {
  X509* certificate = X509_STORE_CTX_get0_cert(shown);
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(shown, SSL_get_ex_data_X509_STORE_CTX_idx())
  );
  SSL_SESSION* session = ssl == nullptr ? nullptr : SSL_get_session(ssl);
  // Before the key is set, after which the certificate would be encoded anew.
  SharedPeerCertificate copy = certificate == nullptr ? nullptr : copy_of(certificate);
  if (session == nullptr || !copy || !provide_key(certificate)) {
    X509_STORE_CTX_set_error(shown, X509_V_ERR_EE_KEY_TOO_SMALL);
    return 0;
  }
  set_peer_certificate(session, std::move(copy));
  X509_STORE_CTX_set_error(shown, X509_V_OK);
  return 1;
}

// Stands in for the keys of all peers once their own are not needed any more.
EVP_PKEY* stand_in_key() {
  static EVP_PKEY* const key = [] {
    const EcKey ec(EC_KEY_new());
    EVP_PKEY* made = EVP_PKEY_new();
    const EC_GROUP* group = group_of(NID_X9_62_prime256v1);
    IOTCORE_CHECK(
        ec && made != nullptr && EC_KEY_set_group(ec.get(), group) == 1 &&
        EC_KEY_set_public_key(ec.get(), EC_GROUP_get0_generator(group)) == 1 &&
        EVP_PKEY_set1_EC_KEY(made, ec.get()) == 1
    );
    return made;
  }();
  return key;
}

}  // namespace

void remember_peer_certificates(SSL_CTX* context) {
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context, on_certificate, nullptr);
}

SharedPeerCertificate peer_certificate_of(const SSL_SESSION* session) {
  const auto* held = session == nullptr ? nullptr
                                        : static_cast<const SharedPeerCertificate*>(
                                              SSL_SESSION_get_ex_data(session, certificate_index())
                                          );
  return held == nullptr ? nullptr : *held;
}

void set_peer_certificate(SSL_SESSION* session, SharedPeerCertificate certificate) {
  const int index = certificate_index();
  const std::unique_ptr<SharedPeerCertificate> before(
      static_cast<SharedPeerCertificate*>(SSL_SESSION_get_ex_data(session, index))
  );
  auto held =
      certificate ? std::make_unique<SharedPeerCertificate>(std::move(certificate)) : nullptr;
  IOTCORE_CHECK(SSL_SESSION_set_ex_data(session, index, held.get()) == 1);
  static_cast<void>(held.release());
}

void shrink_peer_certificate(SSL* ssl) {
  X509* certificate = SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr) {
    return;
  }
  static X509_NAME* const no_name = X509_NAME_new();
  X509_set_pubkey(certificate, stand_in_key());
  X509_set_subject_name(certificate, no_name);
  X509_set_issuer_name(certificate, no_name);
  while (X509_get_ext_count(certificate) > 0) {
    X509_EXTENSION_free(X509_delete_ext(certificate, X509_get_ext_count(certificate) - 1));
  }
}

}  // namespace iotcore::net
