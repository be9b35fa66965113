#include "registry/certificates.h"

#include "base/crypto.h"
#include "registry/keys.h"
#include "registry/page.h"
#include "registry/pki/certificate.h"

namespace iotcore::registry {
namespace {

constexpr std::size_t kPageDefault = 25;

// As rows have it: lower case, without the 0x that the model allows.
std::string normal_id(std::string_view id) {
  if (id.substr(0, 2) == "0x") {
    id.remove_prefix(2);
  }
  std::string out(id);
  for (char& c : out) {
    c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

std::string absent(std::string_view id) {
  return "Certificate " + std::string(id) + " does not exist";
}

void put_age_rows(store::Batch& batch, std::string_view id, std::int64_t created_ms) {
  for (const bool oldest_first : {true, false}) {
    batch.put(
        keys::kPrincipals,
        keys::certificates_by_age(oldest_first)
            .u64(keys::age_segment(oldest_first, created_ms))
            .text(id),
        {}
    );
  }
}

void erase_age_rows(store::Batch& batch, std::string_view id, std::int64_t created_ms) {
  for (const bool oldest_first : {true, false}) {
    batch.erase(
        keys::kPrincipals,
        keys::certificates_by_age(oldest_first)
            .u64(keys::age_segment(oldest_first, created_ms))
            .text(id)
    );
  }
}

void set_attributes(
    google::protobuf::RepeatedPtrField<record::NameAttribute>& out,
    const pki::NameAttributes& attributes
) {
  for (const auto& [name, values] : attributes) {
    record::NameAttribute& attribute = *out.Add();
    attribute.set_name(name);
    attribute.mutable_values()->Assign(values.begin(), values.end());
  }
}

std::string id_in_age_row(std::string_view key) {
  store::KeyReader reader(key);
  reader.kind();
  reader.u64();
  return reader.text().value_or(std::string());
}

}  // namespace

Result<std::string> Certificates::add(std::string_view pem, bool active) {
  IOTCORE_ASSIGN(const pki::Certificate certificate, pki::parse_certificate_pem(pem));
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  record::Certificate record;
  record.set_der(certificate.der);
  record.set_status(active ? record::ACTIVE : record::INACTIVE);
  record.set_mode(record::DEFAULT);
  record.set_created_ms(now_ms);
  record.set_modified_ms(now_ms);
  record.set_not_before_ms(to_epoch_ms(certificate.not_before));
  record.set_not_after_ms(to_epoch_ms(certificate.not_after));
  record.set_customer_version(1);
  record.set_generation_id(new_uuid());
  record.set_serial_number(certificate.serial_number);
  set_attributes(*record.mutable_subject(), certificate.subject);
  set_attributes(*record.mutable_issuer(), certificate.issuer);
  store::Batch batch;
  batch.expect_absent(keys::kPrincipals, keys::certificate(certificate.id));
  batch.put(keys::kPrincipals, keys::certificate(certificate.id), to_row(record));
  put_age_rows(batch, certificate.id, now_ms);
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
  const std::string id = normal_id(request.certificate_id());
  IOTCORE_ASSIGN(
      const auto found,
      get_record<record::Certificate>(store_, keys::kPrincipals, keys::certificate(id), absent(id))
  );
  const record::Certificate& record = found.record;
  api::DescribeCertificateResponse response;
  api::CertificateDescription& out = *response.mutable_certificate_description();
  out.set_certificate_arn(options_.account.arn("cert", id));
  out.set_certificate_id(id);
  if (record.has_ca_certificate_id()) {
    out.set_ca_certificate_id(record.ca_certificate_id());
  }
  out.set_status(record::CertificateStatus_Name(record.status()));
  out.set_certificate_pem(pki::pem_from_der(record.der()));
  out.set_owned_by(options_.account.id);
  out.set_creation_date(record.created_ms());
  out.set_last_modified_date(record.modified_ms());
  out.set_customer_version(record.customer_version());
  out.set_generation_id(record.generation_id());
  out.mutable_validity()->set_not_before(record.not_before_ms());
  out.mutable_validity()->set_not_after(record.not_after_ms());
  out.set_certificate_mode(record::CertificateMode_Name(record.mode()));
  return response;
}

Result<api::UpdateCertificateResponse> Certificates::update(
    const api::UpdateCertificateRequest& request
) {
  IOTCORE_TRY(until_no_conflict([&] { return try_update(request); }));
  return api::UpdateCertificateResponse();
}

Status Certificates::try_update(const api::UpdateCertificateRequest& request) {
  record::CertificateStatus status = record::INACTIVE;
  if (!record::CertificateStatus_Parse(request.new_status(), &status) ||
      (status != record::ACTIVE && status != record::INACTIVE && status != record::REVOKED)) {
    return fail(
        Errc::kInvalidRequest,
        "newStatus must be ACTIVE, INACTIVE or REVOKED: " + request.new_status() +
            " is not for callers to set"
    );
  }
  const std::string id = normal_id(request.certificate_id());
  const auto key = keys::certificate(id);
  IOTCORE_ASSIGN(
      auto found, get_record<record::Certificate>(store_, keys::kPrincipals, key, absent(id))
  );
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
  batch.expect_revision(keys::kPrincipals, key, found.revision);
  batch.put(keys::kPrincipals, key, to_row(record));
  return commit(store_, std::move(batch));
}

Result<api::DeleteCertificateResponse> Certificates::remove(
    const api::DeleteCertificateRequest& request
) {
  IOTCORE_TRY(until_no_conflict([&] { return try_remove(request); }));
  return api::DeleteCertificateResponse();
}

Status Certificates::try_remove(const api::DeleteCertificateRequest& request) {
  const std::string id = normal_id(request.certificate_id());
  const auto key = keys::certificate(id);
  const std::string resource = certificate_resource(id);
  const std::string arn = options_.account.arn(resource);
  IOTCORE_ASSIGN(
      const auto found, get_record<record::Certificate>(store_, keys::kPrincipals, key, absent(id))
  );
  if (found.record.status() == record::ACTIVE) {
    return fail(
        Errc::kCertificateState,
        "Certificate must be deactivated (not ACTIVE) before deletion (arn: " + arn + ")"
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
  batch.erase(keys::kPrincipals, key);
  erase_age_rows(batch, id, found.record.created_ms());
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
  IOTCORE_ASSIGN(
      PageRequest page,
      PageRequest::make(
          keys::kPrincipals,
          keys::certificates_by_age(request.ascending_order()),
          optional_text(request.has_marker(), request.marker()),
          optional_size(request.has_page_size(), request.page_size()),
          kPageDefault
      )
  );
  PageReader reader(store_, std::move(page));
  IOTCORE_ASSIGN(const std::vector<store::Entry> rows, reader.page());
  std::vector<std::string> ids;
  std::vector<std::string> row_keys;
  for (const store::Entry& row : rows) {
    ids.push_back(id_in_age_row(row.key));
    row_keys.push_back(keys::certificate(ids.back()).take());
  }
  IOTCORE_ASSIGN(const auto found, store_.multi_get(keys::kPrincipals, row_keys));
  api::ListCertificatesResponse response;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!found[i]) {
      continue;  // deleted since the index was read
    }
    IOTCORE_ASSIGN(const auto record, parse_record<record::Certificate>(found[i]->value));
    auto& out = *response.add_certificates();
    out.set_certificate_arn(options_.account.arn("cert", ids[i]));
    out.set_certificate_id(ids[i]);
    out.set_status(record::CertificateStatus_Name(record.status()));
    out.set_certificate_mode(record::CertificateMode_Name(record.mode()));
    out.set_creation_date(record.created_ms());
  }
  if (reader.token()) {
    response.set_next_marker(*reader.token());
  }
  return response;
}

}  // namespace iotcore::registry
