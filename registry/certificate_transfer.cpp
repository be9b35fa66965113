#include "registry/certificate_transfer.h"

#include "registry/age_lists.h"
#include "registry/certificate_rows.h"
#include "registry/keys.h"
#include "registry/marker_page.h"

namespace iotcore::registry {

Result<api::TransferCertificateResponse> CertificateTransfer::offer(
    const api::TransferCertificateRequest& request
) {
  if (request.target_aws_account() == options_.account.id) {
    return fail(
        Errc::kInvalidRequest, "A certificate cannot be transferred to the account that has it"
    );
  }
  IOTCORE_TRY(until_no_conflict([&] { return try_offer(request); }));
  api::TransferCertificateResponse response;
  // Where it would be found in the other account.
  Account other = options_.account;
  other.id = request.target_aws_account();
  response.set_transferred_certificate_arn(
      other.arn("cert", normal_certificate_id(request.certificate_id()))
  );
  return response;
}

Status CertificateTransfer::try_offer(const api::TransferCertificateRequest& request) {
  const std::string id = normal_certificate_id(request.certificate_id());
  const std::string resource = certificate_resource(id);
  IOTCORE_ASSIGN(auto found, read_certificate(store_, id));
  record::Certificate& record = found.record;
  if (record.status() != record::INACTIVE && record.status() != record::REVOKED) {
    return fail(
        Errc::kCertificateState,
        "The certificate is " + record::CertificateStatus_Name(record.status()) +
            "; only one that is INACTIVE can be transferred"
    );
  }
  IOTCORE_ASSIGN(
      const bool policies, has_any(store_, keys::kPrincipals, keys::policies_of_target(resource))
  );
  IOTCORE_ASSIGN(
      const bool things, has_any(store_, keys::kRegistry, keys::things_of_principal(resource))
  );
  if (policies || things) {
    return fail(
        Errc::kTransferConflict,
        std::string(policies ? "Policies" : "Things") +
            " must be detached from the certificate before it is transferred"
    );
  }
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  record.set_status(record::PENDING_TRANSFER);
  record.set_modified_ms(now_ms);
  record.set_customer_version(record.customer_version() + 1);
  record::CertificateTransfer& transfer = *record.mutable_transfer();
  transfer.Clear();
  transfer.set_to_account(request.target_aws_account());
  transfer.set_offered_ms(now_ms);
  if (request.has_transfer_message()) {
    transfer.set_message(request.transfer_message());
  }
  store::Batch batch;
  put_certificate(batch, id, found);
  put_outgoing(batch, id, now_ms);
  return commit(store_, std::move(batch));
}

template <typename Change>
Status CertificateTransfer::end(const std::string& id, const Change& change) {
  return until_no_conflict([&]() -> Status {
    IOTCORE_ASSIGN(auto found, read_certificate(store_, id));
    record::Certificate& record = found.record;
    if (record.status() != record::PENDING_TRANSFER) {
      return fail(
          Errc::kTransferAlreadyCompleted, "The certificate " + id + " is not being transferred"
      );
    }
    const std::int64_t now_ms = to_epoch_ms(clock_.wall());
    store::Batch batch;
    erase_outgoing(batch, id, record.transfer().offered_ms());
    record.set_status(record::INACTIVE);
    record.set_modified_ms(now_ms);
    record.set_customer_version(record.customer_version() + 1);
    change(record, now_ms);
    put_certificate(batch, id, found);
    return commit(store_, std::move(batch));
  });
}

Result<api::AcceptCertificateTransferResponse> CertificateTransfer::accept(
    const api::AcceptCertificateTransferRequest& request
) {
  IOTCORE_TRY(
      end(normal_certificate_id(request.certificate_id()),
          [&](record::Certificate& record, std::int64_t now_ms) {
            record.mutable_transfer()->set_accepted_ms(now_ms);
            if (request.set_as_active()) {
              record.set_status(record::ACTIVE);
            }
          })
  );
  return api::AcceptCertificateTransferResponse();
}

Result<api::RejectCertificateTransferResponse> CertificateTransfer::reject(
    const api::RejectCertificateTransferRequest& request
) {
  IOTCORE_TRY(
      end(normal_certificate_id(request.certificate_id()),
          [&](record::Certificate& record, std::int64_t now_ms) {
            record.mutable_transfer()->set_rejected_ms(now_ms);
            if (request.has_reject_reason()) {
              record.mutable_transfer()->set_reject_reason(request.reject_reason());
            }
          })
  );
  return api::RejectCertificateTransferResponse();
}

Result<api::CancelCertificateTransferResponse> CertificateTransfer::cancel(
    const api::CancelCertificateTransferRequest& request
) {
  IOTCORE_TRY(
      end(normal_certificate_id(request.certificate_id()),
          [](record::Certificate& record, std::int64_t /*now_ms*/) { record.clear_transfer(); })
  );
  return api::CancelCertificateTransferResponse();
}

Result<api::ListOutgoingCertificatesResponse> CertificateTransfer::list(
    const api::ListOutgoingCertificatesRequest& request
) {
  constexpr std::size_t kPageDefault = 25;
  api::ListOutgoingCertificatesResponse response;
  IOTCORE_TRY(read_marker_page(
      store_,
      keys::kPrincipals,
      keys::outgoing_certificates(request.ascending_order()),
      request,
      response,
      kPageDefault,
      [&](const std::vector<store::Entry>& rows) -> Status {
        for (const store::Entry& row : rows) {
          const std::string id = id_in_age_row(row.key);
          const auto found = read_certificate(store_, id);
          if (!found || found->record.status() != record::PENDING_TRANSFER) {
            continue;  // ended since the index was read
          }
          const record::CertificateTransfer& transfer = found->record.transfer();
          auto& out = *response.add_outgoing_certificates();
          out.set_certificate_arn(options_.account.arn("cert", id));
          out.set_certificate_id(id);
          out.set_transferred_to(transfer.to_account());
          out.set_transfer_date(transfer.offered_ms());
          if (transfer.has_message()) {
            out.set_transfer_message(transfer.message());
          }
          out.set_creation_date(found->record.created_ms());
        }
        return {};
      }
  ));
  return response;
}

}  // namespace iotcore::registry
