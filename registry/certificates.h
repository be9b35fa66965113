#pragma once

#include "base/clock.h"
#include "proto/api/certificates.pb.h"
#include "proto/record/principals.pb.h"
#include "registry/options.h"
#include "registry/pki/certificate_authority.h"
#include "registry/rows.h"

namespace iotcore::registry {

// The operations on device certificates. Requests have passed their bounds. Blocking, some for the
// tens of milliseconds that an RSA key takes; any thread.
class Certificates {
 public:
  Certificates(
      store::Store& store,
      const Clock& clock,
      const Options& options,
      const pki::CertificateAuthority& authority
  )
      : store_(store), clock_(clock), options_(options), authority_(authority) {}

  // The private key is in the response and nowhere else.
  Result<api::CreateKeysAndCertificateResponse> create_keys(
      const api::CreateKeysAndCertificateRequest& request
  );
  // The same CSR again gives another certificate.
  Result<api::CreateCertificateFromCsrResponse> create_from_csr(
      const api::CreateCertificateFromCsrRequest& request
  );
  Result<api::DescribeCertificateResponse> describe(const api::DescribeCertificateRequest& request);
  Result<api::UpdateCertificateResponse> update(const api::UpdateCertificateRequest& request);
  // Not while ACTIVE (kCertificateState), nor while things or policies are attached
  // (kDeleteConflict); force_delete takes the policies off.
  Result<api::DeleteCertificateResponse> remove(const api::DeleteCertificateRequest& request);
  // By creation, newest first unless ascending_order.
  Result<api::ListCertificatesResponse> list(const api::ListCertificatesRequest& request);

 private:
  // Returns the id.
  Result<std::string> add(std::string_view pem, bool active);
  Status try_update(const api::UpdateCertificateRequest& request);
  Status try_remove(const api::DeleteCertificateRequest& request);

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  const pki::CertificateAuthority& authority_;
};

// Those of the ids that there are, in their order, as lists show them.
Status add_summaries(
    google::protobuf::RepeatedPtrField<api::ListCertificatesResponse::Certificate>& out,
    store::Store& store,
    const Account& account,
    const std::vector<std::string>& ids
);

}  // namespace iotcore::registry
