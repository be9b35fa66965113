#pragma once

#include "base/result.h"
#include "net/free_with.h"
#include "net/pem_passphrase.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

// OpenSSL's objects with an owner. For the sources of this folder only.

namespace iotcore::registry::pki {

using net::FreeWith;

using BioPtr = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, FreeWith<X509_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, FreeWith<X509_REQ_free>>;
using NamePtr = std::unique_ptr<X509_NAME, FreeWith<X509_NAME_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, FreeWith<X509_EXTENSION_free>>;
using BignumPtr = std::unique_ptr<BIGNUM, FreeWith<BN_free>>;

// A failure of the library itself, with its own words; empties its queue of errors.
Error openssl_error(std::string_view doing);

BioPtr read_bio(std::string_view bytes);
std::string contents(BIO* bio);

std::string to_pem(X509* certificate);
std::string to_der(X509* certificate);
// PKCS #1 for RSA and SEC 1 for EC keys, as AWS hands them out.
std::string private_key_to_pem(EVP_PKEY* key);
// PKCS #8 under the passphrase (AES-256), as openssl's tools read it.
std::string private_key_to_pem(EVP_PKEY* key, std::string_view passphrase);
std::string public_key_to_pem(EVP_PKEY* key);

// A key that a device or a CA may have (auth.md section 2).
bool is_strong_key(const EVP_PKEY* key);

using net::no_passphrase;

// Nothing unless the text holds exactly the PEM object asked for, not encrypted, perhaps with text around it.
X509Ptr certificate_from_pem(std::string_view pem);
X509Ptr certificate_from_der(std::string_view der);
// One that is not encrypted needs no passphrase.
KeyPtr private_key_from_pem(std::string_view pem, std::string_view passphrase = {});
RequestPtr request_from_pem(std::string_view pem);

}  // namespace iotcore::registry::pki
