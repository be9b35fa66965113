#include "registry/certificate_registration.h"

#include "registry/keys.h"
#include "registry/page.h"

#include <algorithm>

namespace iotcore::registry {
namespace {

// More CAs of one subject are not read, whatever the limit was when they were registered.
constexpr std::size_t kCasOfSubjectMax = 1000;

Result<pki::Certificate> parse_device_certificate(std::string_view pem) {
  IOTCORE_ASSIGN(pki::Certificate certificate, pki::parse_certificate_pem(pem));
  if (!certificate.strong_key) {
    return fail(
        Errc::kCertificateValidation,
        "The certificate's key is not supported: RSA needs 2048 bits, EC one of P-256, P-384 and "
        "P-521."
    );
  }
  return certificate;
}

Result<record::CertificateStatus> wanted_status(bool has_status, const std::string& status) {
  if (!has_status) {
    return record::INACTIVE;
  }
  auto wanted = status_from_request(status);
  if (!wanted) {
    return fail(
        Errc::kCertificateState, "Not allowed to register certificate with " + status + " status"
    );
  }
  return wanted;
}

}  // namespace

Status CertificateRegistration::add(const pki::Certificate& certificate, const NewCertificate& as) {
  const record::Certificate record =
      certificate_record(certificate, as, to_epoch_ms(clock_.wall()));
  store::Batch batch;
  put_new_certificate(batch, certificate.id, record);
  if (auto done = commit(store_, std::move(batch)); !done) {
    if (done.error().code() != Errc::kRevisionConflict) {
      return done;
    }
    return certificate_exists(certificate.id, options_.account.arn("cert", certificate.id));
  }
  return {};
}

Result<std::vector<RegisteredCa>> CertificateRegistration::issuers_of(
    const pki::Certificate& certificate
) {
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows,
      store_.scan(
          keys::kPrincipals,
          keys::ca_certificates_by_subject(certificate.issuer_hash),
          {},
          kCasOfSubjectMax
      )
  );
  std::vector<RegisteredCa> issuers;
  for (const store::Entry& row : rows) {
    const std::string id = segment_of(row.key, 1);
    IOTCORE_ASSIGN(
        auto found,
        find_record<record::CaCertificate>(store_, keys::kPrincipals, keys::ca_certificate(id))
    );
    if (found && pki::is_issued_by(certificate.der, found->record.der())) {
      issuers.push_back({id, std::move(*found)});
    }
  }
  return issuers;
}

Result<RegisteredCa> CertificateRegistration::choose_issuer(
    const pki::Certificate& certificate, const api::RegisterCertificateRequest& request
) {
  IOTCORE_ASSIGN(std::vector<RegisteredCa> issuers, issuers_of(certificate));
  if (request.has_ca_certificate_pem()) {
    IOTCORE_ASSIGN(
        const pki::Certificate named, pki::parse_certificate_pem(request.ca_certificate_pem())
    );
    std::erase_if(issuers, [&named](const RegisteredCa& ca) { return ca.id != named.id; });
    if (issuers.empty()) {
      return fail(
          Errc::kCertificateValidation,
          "The CA certificate in the request is not registered, or it did not sign the certificate."
      );
    }
  }
  if (issuers.empty()) {
    return fail(
        Errc::kCertificateValidation, "No registered CA certificate signed this certificate."
    );
  }
  if (issuers.size() > 1) {
    return fail(
        Errc::kCertificateConflict,
        "Several registered CA certificates have the issuer's name and key: say which one in "
        "caCertificatePem."
    );
  }
  return std::move(issuers.front());
}

Status CertificateRegistration::take_issuer(
    const pki::Certificate& certificate,
    const api::RegisterCertificateRequest& request,
    NewCertificate& as
) {
  IOTCORE_ASSIGN(const RegisteredCa ca, choose_issuer(certificate, request));
  if (ca.row.record.status() != record::ACTIVE) {
    return fail(
        Errc::kCertificateState,
        "The CA certificate " + ca.id + " is not ACTIVE: nothing new is registered with it"
    );
  }
  as.mode = ca.row.record.mode();
  as.ca_certificate_id = ca.id;
  return {};
}

Result<api::RegisterCertificateResponse> CertificateRegistration::register_of_ca(
    const api::RegisterCertificateRequest& request
) {
  IOTCORE_ASSIGN(
      const pki::Certificate certificate, parse_device_certificate(request.certificate_pem())
  );
  NewCertificate as;
  IOTCORE_ASSIGN(as.status, wanted_status(request.has_status(), request.status()));
  if (request.set_as_active()) {
    as.status = record::ACTIVE;
  }
  // Before it is asked who signed it: that it is here says more.
  IOTCORE_ASSIGN(
      const auto present, store_.get(keys::kPrincipals, keys::certificate(certificate.id))
  );
  if (present) {
    return certificate_exists(certificate.id, options_.account.arn("cert", certificate.id));
  }
  if (request.has_ca_certificate_pem() || !authority_.has_issued(certificate.der)) {
    IOTCORE_TRY(take_issuer(certificate, request, as));
  }
  IOTCORE_TRY(add(certificate, as));
  api::RegisterCertificateResponse response;
  response.set_certificate_arn(options_.account.arn("cert", certificate.id));
  response.set_certificate_id(certificate.id);
  return response;
}

Result<api::RegisterCertificateWithoutCAResponse> CertificateRegistration::register_without_ca(
    const api::RegisterCertificateWithoutCARequest& request
) {
  IOTCORE_ASSIGN(
      const pki::Certificate certificate, parse_device_certificate(request.certificate_pem())
  );
  NewCertificate as;
  IOTCORE_ASSIGN(as.status, wanted_status(request.has_status(), request.status()));
  as.mode = record::SNI_ONLY;
  IOTCORE_TRY(add(certificate, as));
  api::RegisterCertificateWithoutCAResponse response;
  response.set_certificate_arn(options_.account.arn("cert", certificate.id));
  response.set_certificate_id(certificate.id);
  return response;
}

}  // namespace iotcore::registry
