#include "registry/pki/certificate.h"

#include "base/crypto.h"
#include "registry/pki/certificate_parts.h"

#include <openssl/asn1.h>
#include <openssl/err.h>

#include <array>
#include <ctime>
#include <utility>

namespace iotcore::registry::pki {
namespace {

using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, FreeWith<GENERAL_NAMES_free>>;

constexpr std::array<std::pair<int, const char*>, 13> kAttributeNames = {{
    {NID_dnQualifier, "DistinguishedNameQualifier"},
    {NID_countryName, "Country"},
    {NID_organizationName, "Organization"},
    {NID_organizationalUnitName, "OrganizationalUnit"},
    {NID_stateOrProvinceName, "State"},
    {NID_commonName, "CommonName"},
    {NID_serialNumber, "SerialNumber"},
    {NID_title, "Title"},
    {NID_surname, "Surname"},
    {NID_givenName, "GivenName"},
    {NID_initials, "Initials"},
    {NID_pseudonym, "Pseudonym"},
    {NID_generationQualifier, "GenerationQualifier"},
}};

std::string utf8(const ASN1_STRING* text) {
  unsigned char* out = nullptr;
  const int size = ASN1_STRING_to_UTF8(&out, text);
  if (size < 0) {
    return {};
  }
  std::string copy(reinterpret_cast<const char*>(out), static_cast<std::size_t>(size));
  OPENSSL_free(out);
  return copy;
}

NameAttributes attributes_of(const X509_NAME* name) {
  NameAttributes out;
  for (int i = 0; i < X509_NAME_entry_count(name); ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(name, i);
    const int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    for (const auto& [known, attribute] : kAttributeNames) {
      if (known == nid) {
        out[attribute].push_back(utf8(X509_NAME_ENTRY_get_data(entry)));
      }
    }
  }
  return out;
}

std::string one_line(const X509_NAME* name) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253);
  return contents(bio.get());
}

std::string ip_address(const ASN1_OCTET_STRING* address) {
  const unsigned char* bytes = ASN1_STRING_get0_data(address);
  const int size = ASN1_STRING_length(address);
  std::string out;
  if (size == 4) {
    for (int i = 0; i < 4; ++i) {
      out += (i == 0 ? "" : ".") + std::to_string(bytes[i]);
    }
  } else if (size == 16) {
    for (int i = 0; i < 16; i += 2) {
      char group[6];
      std::snprintf(group, sizeof group, "%x", bytes[i] * 256 + bytes[i + 1]);
      out += (i == 0 ? "" : ":") + std::string(group);
    }
  }
  return out;
}

// The subject's or the issuer's alternative names, by the names after "AlternativeName." in policy
// variables.
void add_alternative_names(const CertificateBody& body, int extension, NameAttributes& out) {
  const GeneralNamesPtr names(
      static_cast<GENERAL_NAMES*>(X509V3_get_d2i(body.extensions, extension, nullptr, nullptr))
  );
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    switch (name->type) {
      case GEN_EMAIL:
        out["AlternativeName.RFC822Name"].push_back(utf8(name->d.rfc822Name));
        break;
      case GEN_DNS:
        out["AlternativeName.DNSName"].push_back(utf8(name->d.dNSName));
        break;
      case GEN_DIRNAME:
        out["AlternativeName.DirectoryName"].push_back(one_line(name->d.directoryName));
        break;
      case GEN_URI:
        out["AlternativeName.UniformResourceIdentifier"].push_back(
            utf8(name->d.uniformResourceIdentifier)
        );
        break;
      case GEN_IPADD:
        out["AlternativeName.IPAddress"].push_back(ip_address(name->d.iPAddress));
        break;
      default:
        break;
    }
  }
}

bool wall_time(const ASN1_TIME* time, WallTime& out) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) {
    return false;
  }
  // Beyond what nanoseconds in 64 bits can count (year 2262) time stands still: "99991231235959Z"
  // means "never".
  constexpr std::int64_t kLatest = 9'223'372'036;
  const std::int64_t seconds = ::timegm(&parts);
  out = WallTime(std::chrono::seconds(std::min(std::max(seconds, -kLatest), kLatest)));
  return true;
}

std::string serial_number_of(const ASN1_INTEGER* serial_number) {
  const BignumPtr number(ASN1_INTEGER_to_BN(serial_number, nullptr));
  if (number == nullptr) {
    return {};
  }
  std::string bytes(static_cast<std::size_t>(BN_num_bytes(number.get())), '\0');
  BN_bn2bin(number.get(), reinterpret_cast<unsigned char*>(bytes.data()));
  return to_hex(bytes);
}

std::string hash_of(const X509_NAME* name) {
  const unsigned char* der = nullptr;
  std::size_t size = 0;
  if (X509_NAME_get0_der(name, &der, &size) != 1) {
    return {};
  }
  return to_hex(as_text(sha256({reinterpret_cast<const char*>(der), size})));
}

Result<Certificate> describe(const CertificateParts& parts) {
  const CertificateBody& body = *parts.body;
  Certificate out;
  out.der = to_der(parts);
  out.id = certificate_id_of(out.der);
  if (!wall_time(body.validity->notBefore, out.not_before) ||
      !wall_time(body.validity->notAfter, out.not_after)) {
    return fail(Errc::kCertificateValidation, "The certificate's validity cannot be read.");
  }
  out.serial_number = serial_number_of(body.serial_number);
  out.strong_key = has_strong_key(parts);
  out.subject_hash = hash_of(body.subject);
  out.issuer_hash = hash_of(body.issuer);
  out.subject = attributes_of(body.subject);
  out.issuer = attributes_of(body.issuer);
  add_alternative_names(body, NID_subject_alt_name, out.subject);
  add_alternative_names(body, NID_issuer_alt_name, out.issuer);
  ERR_clear_error();
  return out;
}

}  // namespace

Result<Certificate> parse_certificate_der(std::string_view der) {
  const CertificatePartsPtr parts = parts_from_der(der);
  if (parts == nullptr) {
    return fail(Errc::kCertificateValidation, "The certificate is not valid DER.");
  }
  return describe(*parts);
}

Result<Certificate> parse_certificate_pem(std::string_view pem) {
  const CertificatePartsPtr parts = parts_from_pem(pem);
  if (parts == nullptr) {
    return fail(Errc::kCertificateValidation, "The certificate is not valid PEM.");
  }
  return describe(*parts);
}

bool is_ca_certificate(std::string_view der) {
  const X509Ptr x509 = certificate_from_der(der);
  const bool is_ca = x509 != nullptr && X509_check_ca(x509.get()) == 1;
  ERR_clear_error();
  return is_ca;
}

bool is_issued_by(std::string_view der, std::string_view ca_der) {
  const X509Ptr certificate = certificate_from_der(der);
  const X509Ptr ca = certificate_from_der(ca_der);
  if (certificate == nullptr || ca == nullptr ||
      X509_NAME_cmp(X509_get_issuer_name(certificate.get()), X509_get_subject_name(ca.get())) !=
          0) {
    return false;
  }
  EVP_PKEY* key = X509_get0_pubkey(ca.get());
  const bool verified = key != nullptr && X509_verify(certificate.get(), key) == 1;
  ignore_error(Status(fail(openssl_error("verifying"))), "empties the library's queue");
  return verified;
}

std::string certificate_id_of(std::string_view der) {
  return to_hex(as_text(sha256(der)));
}

std::string pem_from_der(std::string_view der) {
  const X509Ptr x509 = certificate_from_der(der);
  return x509 == nullptr ? std::string() : to_pem(x509.get());
}

}  // namespace iotcore::registry::pki
