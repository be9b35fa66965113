#pragma once

#include "base/clock.h"
#include "proto/api/certificates.pb.h"
#include "proto/record/principals.pb.h"
#include "registry/certificate_rows.h"
#include "registry/options.h"
#include "registry/pki/certificate_authority.h"
#include "registry/rows.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry {

// A CA certificate that is registered.
struct RegisteredCa {
  std::string id;
  Stored<record::CaCertificate> row;
};

// Registers certificates that others have issued. Requests have passed their bounds. Blocking; any thread.
class CertificateRegistration {
 public:
  CertificateRegistration(
      store::Store& store,
      const Clock& clock,
      const Options& options,
      const pki::CertificateAuthority& authority
  )
      : store_(store), clock_(clock), options_(options), authority_(authority) {}

  // Of a registered CA, or of our own: kAlreadyExists; kCertificateValidation if none signed it, kCertificateConflict if several did and the request
  // does not say which, kCertificateState if it is not ACTIVE.
  Result<api::RegisterCertificateResponse> register_of_ca(
      const api::RegisterCertificateRequest& request
  );
  // Whoever issued it.
  Result<api::RegisterCertificateWithoutCAResponse> register_without_ca(
      const api::RegisterCertificateWithoutCARequest& request
  );

  // The registered CAs that signed it.
  Result<std::vector<RegisteredCa>> issuers_of(const pki::Certificate& certificate);

  // kAlreadyExists.
  Status add(const pki::Certificate& certificate, const NewCertificate& as);

 private:
  // Says of whom the certificate is, unless that CA is not ACTIVE.
  Status take_issuer(
      const pki::Certificate& certificate,
      const api::RegisterCertificateRequest& request,
      NewCertificate& as
  );
  Result<RegisteredCa> choose_issuer(
      const pki::Certificate& certificate, const api::RegisterCertificateRequest& request
  );

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  const pki::CertificateAuthority& authority_;
};

}  // namespace iotcore::registry
