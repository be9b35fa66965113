#pragma once

#include "registry/pki/openssl.h"

#include <memory>
#include <string>
#include <string_view>

// A certificate as OpenSSL's ASN.1 reader takes it apart. For the sources of this folder only.

namespace iotcore::registry::pki {

// SubjectPublicKeyInfo (RFC 5280 section 4.1), its key not decoded.
struct PublicKeyParts {
  X509_ALGOR* algorithm;
  ASN1_BIT_STRING* bits;
};

// TBSCertificate, with the DER form that it was read from.
struct CertificateBody {
  ASN1_ENCODING encoding;
  ASN1_INTEGER* version;
  ASN1_INTEGER* serial_number;
  X509_ALGOR* signature_algorithm;
  X509_NAME* issuer;
  X509_VAL* validity;
  X509_NAME* subject;
  PublicKeyParts* key;
  ASN1_BIT_STRING* issuer_id;
  ASN1_BIT_STRING* subject_id;
  STACK_OF(X509_EXTENSION) * extensions;
};

// Takes what d2i_X509() takes, by the same reader and the same description of the type, at a twentieth of the cost: that one decodes the key at once, through all
// providers that might know it.
struct CertificateParts {
  CertificateBody* body;
  X509_ALGOR* signature_algorithm;
  ASN1_BIT_STRING* signature;
};

void free_parts(CertificateParts* parts);
using CertificatePartsPtr = std::unique_ptr<CertificateParts, FreeWith<free_parts>>;

// As certificate_from_pem() and certificate_from_der().
CertificatePartsPtr parts_from_pem(std::string_view pem);
CertificatePartsPtr parts_from_der(std::string_view der);

std::string to_der(const CertificateParts& parts);

// As is_strong_key() of the key that OpenSSL decodes; false if it decodes none.
bool has_strong_key(const CertificateParts& parts);

}  // namespace iotcore::registry::pki
