#pragma once

#include "base/clock.h"
#include "proto/api/certificates.pb.h"
#include "proto/record/principals.pb.h"
#include "registry/options.h"
#include "registry/rows.h"

#include <string>

namespace iotcore::registry {

// Certificates offered to other accounts. This server has one account, which therefore speaks for both sides: an offer is accepted, rejected or
// taken back here, and the certificate stays. Requests have passed their bounds. Blocking; any thread.
class CertificateTransfer {
 public:
  CertificateTransfer(store::Store& store, const Clock& clock, const Options& options)
      : store_(store), clock_(clock), options_(options) {}

  // kCertificateState if it is ACTIVE, not a caller's to offer or offered already; kTransferConflict while policies or things are attached.
  Result<api::TransferCertificateResponse> offer(const api::TransferCertificateRequest& request);
  // kTransferAlreadyCompleted for these three if it is not offered.
  Result<api::AcceptCertificateTransferResponse> accept(
      const api::AcceptCertificateTransferRequest& request
  );
  Result<api::RejectCertificateTransferResponse> reject(
      const api::RejectCertificateTransferRequest& request
  );
  Result<api::CancelCertificateTransferResponse> cancel(
      const api::CancelCertificateTransferRequest& request
  );
  // By the time of the offer, newest first unless ascending_order.
  Result<api::ListOutgoingCertificatesResponse> list(
      const api::ListOutgoingCertificatesRequest& request
  );

 private:
  Status try_offer(const api::TransferCertificateRequest& request);
  // Ends an offer: `change` alters the record, which is INACTIVE then.
  template <typename Change>
  Status end(const std::string& id, const Change& change);

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
};

}  // namespace iotcore::registry
