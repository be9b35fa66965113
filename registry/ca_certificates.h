#pragma once

#include "base/clock.h"
#include "proto/api/ca_certificates.pb.h"
#include "proto/record/principals.pb.h"
#include "registry/options.h"
#include "registry/pki/certificate.h"
#include "registry/quotas.h"
#include "registry/rows.h"

#include <string>

namespace iotcore::registry {

// The operations on CA certificates that others run and whose devices are registered here. Requests have passed their bounds. Blocking; any thread.
class CaCertificates {
 public:
  CaCertificates(store::Store& store, const Clock& clock, const Options& options, Quota& quota)
      : store_(store), clock_(clock), options_(options), quota_(quota) {}

  // In mode DEFAULT the verification certificate shows that the caller has the CA's key: the CA signed it, and its common name is the registration
  // code. kCertificateValidation, kRegistrationCodeValidation, kAlreadyExists, kLimitExceeded.
  Result<api::RegisterCACertificateResponse> add(const api::RegisterCACertificateRequest& request);
  Result<api::DescribeCACertificateResponse> describe(
      const api::DescribeCACertificateRequest& request
  );
  Result<api::UpdateCACertificateResponse> update(const api::UpdateCACertificateRequest& request);
  // Not while ACTIVE (kCertificateState). Certificates registered with it stay.
  Result<api::DeleteCACertificateResponse> remove(const api::DeleteCACertificateRequest& request);
  // Both by creation, newest first unless ascending_order.
  Result<api::ListCACertificatesResponse> list(const api::ListCACertificatesRequest& request);
  Result<api::ListCertificatesByCAResponse> list_certificates(
      const api::ListCertificatesByCARequest& request
  );

  // The same code until it is deleted.
  Result<api::GetRegistrationCodeResponse> registration_code(
      const api::GetRegistrationCodeRequest& request
  );
  Result<api::DeleteRegistrationCodeResponse> delete_registration_code(
      const api::DeleteRegistrationCodeRequest& request
  );

 private:
  Status check_possession(
      const pki::Certificate& ca, const api::RegisterCACertificateRequest& request
  );
  Status try_add(const pki::Certificate& ca, const api::RegisterCACertificateRequest& request);

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  Quota& quota_;
};

}  // namespace iotcore::registry
