#include "registry/certificates.h"

#include "registry/age_lists.h"
#include "registry/certificate_description.h"
#include "registry/certificate_rows.h"
#include "registry/keys.h"
#include "registry/marker_page.h"
#include "registry/pki/certificate.h"

namespace iotcore::registry {
namespace {

constexpr std::size_t kPageDefault = 25;

void add_transfer(api::TransferData& out, const record::CertificateTransfer& transfer) {
  out.set_transfer_date(transfer.offered_ms());
  if (transfer.has_message()) {
    out.set_transfer_message(transfer.message());
  }
  if (transfer.has_reject_reason()) {
    out.set_reject_reason(transfer.reject_reason());
  }
  if (transfer.has_accepted_ms()) {
    out.set_accept_date(transfer.accepted_ms());
  }
  if (transfer.has_rejected_ms()) {
    out.set_reject_date(transfer.rejected_ms());
  }
}

}  // namespace

Status add_summaries(
    google::protobuf::RepeatedPtrField<api::ListCertificatesResponse::Certificate>& out,
    store::Store& store,
    const Account& account,
    const std::vector<std::string>& ids
) {
  std::vector<std::string> row_keys;
  for (const std::string& id : ids) {
    row_keys.push_back(keys::certificate(id).take());
  }
  IOTCORE_ASSIGN(const auto found, store.multi_get(keys::kPrincipals, row_keys));
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!found[i]) {
      continue;  // deleted since the index was read
    }
    IOTCORE_ASSIGN(const auto record, parse_record<record::Certificate>(found[i]->value));
    auto& summary = *out.Add();
    summary.set_certificate_arn(account.arn("cert", ids[i]));
    summary.set_certificate_id(ids[i]);
    summary.set_status(record::CertificateStatus_Name(record.status()));
    summary.set_certificate_mode(record::CertificateMode_Name(record.mode()));
    summary.set_creation_date(record.created_ms());
  }
  return {};
}

Result<std::string> Certificates::add(std::string_view pem, bool active) {
  IOTCORE_ASSIGN(const pki::Certificate certificate, pki::parse_certificate_pem(pem));
  const record::Certificate record = certificate_record(
      certificate,
      {.status = active ? record::ACTIVE : record::INACTIVE, .ca_certificate_id = {}},
      to_epoch_ms(clock_.wall())
  );
  store::Batch batch;
  put_new_certificate(batch, certificate.id, record);
  IOTCORE_TRY(commit(store_, std::move(batch)));
  return certificate.id;
}

Result<api::CreateKeysAndCertificateResponse> Certificates::create_keys(
    const api::CreateKeysAndCertificateRequest& request
) {
  IOTCORE_ASSIGN(auto made, authority_.make_device_certificate(options_.key_type));
  IOTCORE_ASSIGN(const std::string id, add(made.certificate_pem, request.set_as_active()));
  api::CreateKeysAndCertificateResponse response;
  response.set_certificate_arn(options_.account.arn("cert", id));
  response.set_certificate_id(id);
  response.set_certificate_pem(std::move(made.certificate_pem));
  response.mutable_key_pair()->set_public_key(std::move(made.public_key_pem));
  response.mutable_key_pair()->set_private_key(std::move(made.private_key_pem));
  return response;
}

Result<api::CreateCertificateFromCsrResponse> Certificates::create_from_csr(
    const api::CreateCertificateFromCsrRequest& request
) {
  IOTCORE_ASSIGN(
      std::string pem, authority_.sign_device_request(request.certificate_signing_request())
  );
  IOTCORE_ASSIGN(const std::string id, add(pem, request.set_as_active()));
  api::CreateCertificateFromCsrResponse response;
  response.set_certificate_arn(options_.account.arn("cert", id));
  response.set_certificate_id(id);
  response.set_certificate_pem(std::move(pem));
  return response;
}

Result<api::DescribeCertificateResponse> Certificates::describe(
    const api::DescribeCertificateRequest& request
) {
  const std::string id = normal_certificate_id(request.certificate_id());
  IOTCORE_ASSIGN(const auto found, read_certificate(store_, id));
  const record::Certificate& record = found.record;
  api::DescribeCertificateResponse response;
  api::CertificateDescription& out = *response.mutable_certificate_description();
  describe_certificate(out, record, options_.account, "cert", id);
  if (record.has_ca_certificate_id()) {
    out.set_ca_certificate_id(record.ca_certificate_id());
  }
  if (record.has_transfer()) {
    add_transfer(*out.mutable_transfer_data(), record.transfer());
    if (record.transfer().has_accepted_ms()) {
      out.set_previous_owned_by(options_.account.id);
    }
  }
  return response;
}

Result<api::UpdateCertificateResponse> Certificates::update(
    const api::UpdateCertificateRequest& request
) {
  IOTCORE_TRY(until_no_conflict([&] { return try_update(request); }));
  return api::UpdateCertificateResponse();
}

Status Certificates::try_update(const api::UpdateCertificateRequest& request) {
  IOTCORE_ASSIGN(const record::CertificateStatus status, status_from_request(request.new_status()));
  const std::string id = normal_certificate_id(request.certificate_id());
  IOTCORE_ASSIGN(auto found, read_certificate(store_, id));
  record::Certificate& record = found.record;
  if (record.status() == record::PENDING_TRANSFER) {
    return fail(Errc::kCertificateState, "Certificate " + id + " is being transferred");
  }
  if (record.status() == status) {
    return {};
  }
  record.set_status(status);
  record.set_modified_ms(to_epoch_ms(clock_.wall()));
  record.set_customer_version(record.customer_version() + 1);
  store::Batch batch;
  put_certificate(batch, id, found);
  return commit(store_, std::move(batch));
}

Result<api::DeleteCertificateResponse> Certificates::remove(
    const api::DeleteCertificateRequest& request
) {
  IOTCORE_TRY(until_no_conflict([&] { return try_remove(request); }));
  return api::DeleteCertificateResponse();
}

Status Certificates::try_remove(const api::DeleteCertificateRequest& request) {
  const std::string id = normal_certificate_id(request.certificate_id());
  const auto key = keys::certificate(id);
  const std::string resource = certificate_resource(id);
  const std::string arn = options_.account.arn(resource);
  IOTCORE_ASSIGN(const auto found, read_certificate(store_, id));
  if (found.record.status() == record::PENDING_TRANSFER) {
    return fail(
        Errc::kCertificateState,
        "The certificate is offered to another account; cancel the transfer first (arn: " + arn +
            ")"
    );
  }
  if (found.record.status() == record::ACTIVE) {
    return fail(
        Errc::kCertificateState,
        "Certificate must be deactivated (not ACTIVE) before deletion. (arn: " + arn + ")"
    );
  }
  IOTCORE_ASSIGN(
      const bool has_things, has_any(store_, keys::kRegistry, keys::things_of_principal(resource))
  );
  if (has_things) {
    return fail(
        Errc::kDeleteConflict, "Things must be detached before deletion (arn: " + arn + ")"
    );
  }
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> policies,
      store_.scan(keys::kPrincipals, keys::policies_of_target(resource), {}, 1000)
  );
  if (!policies.empty() && !request.force_delete()) {
    return fail(
        Errc::kDeleteConflict,
        "Certificate policies must be detached before deletion (arn: " + arn + ")"
    );
  }
  store::Batch batch;
  batch.expect_revision(keys::kPrincipals, key, found.revision);
  erase_certificate(batch, id, found.record);
  for (const store::Entry& policy : policies) {
    batch.erase(keys::kPrincipals, policy.key);
    batch.erase(
        keys::kPrincipals, keys::targets_of_policy(segment_of(policy.key, 1)).text(resource)
    );
  }
  return commit(store_, std::move(batch));
}

Result<api::ListCertificatesResponse> Certificates::list(const api::ListCertificatesRequest& request
) {
  api::ListCertificatesResponse response;
  IOTCORE_TRY(read_marker_page(
      store_,
      keys::kPrincipals,
      keys::certificates_by_age(request.ascending_order()),
      request,
      response,
      kPageDefault,
      [&](const std::vector<store::Entry>& rows) {
        std::vector<std::string> ids;
        for (const store::Entry& row : rows) {
          ids.push_back(id_in_age_row(row.key));
        }
        return add_summaries(*response.mutable_certificates(), store_, options_.account, ids);
      }
  ));
  return response;
}

}  // namespace iotcore::registry
