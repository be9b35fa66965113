#include "registry/ca_certificates.h"

#include "base/crypto.h"
#include "registry/age_lists.h"
#include "registry/certificate_description.h"
#include "registry/certificate_rows.h"
#include "registry/certificates.h"
#include "registry/keys.h"
#include "registry/marker_page.h"
#include "registry/provisioning/template.h"
#include "registry/provisioning_templates.h"
#include "registry/tags.h"

#include <algorithm>

namespace iotcore::registry {
namespace {

constexpr std::size_t kPageDefault = 25;
constexpr std::string_view kEnable = "ENABLE";

std::string absent(std::string_view id) {
  return "CA certificate " + std::string(id) + " does not exist";
}

Result<Stored<record::CaCertificate>> read(store::Store& store, std::string_view id) {
  return get_record<record::CaCertificate>(
      store, keys::kPrincipals, keys::ca_certificate(id), absent(id)
  );
}

Status set_config(record::CaCertificate& record, const api::RegistrationConfig& config) {
  if (config.has_template_body() && config.has_template_name()) {
    return fail(
        Errc::kInvalidRequest, "registrationConfig takes templateBody or templateName, not both"
    );
  }
  record.clear_template_body();
  record.clear_template_name();
  record.clear_role_arn();
  if (config.has_template_body()) {
    IOTCORE_TRY(provisioning::Template::parse(config.template_body()));
    record.set_template_body(config.template_body());
  }
  if (config.has_template_name()) {
    record.set_template_name(config.template_name());
  }
  if (config.has_role_arn()) {
    record.set_role_arn(config.role_arn());
  }
  return {};
}

// Keeps the list of who names a template in step with what the record says.
Status set_named_template(
    store::Store& store,
    store::Batch& batch,
    const std::string& id,
    const std::string& before,
    const std::string& after
) {
  if (before == after) {
    return {};
  }
  if (!before.empty()) {
    unname_template(batch, before, id);
  }
  return after.empty() ? Status() : name_template(store, batch, after, id);
}

bool has_config(const record::CaCertificate& record) {
  return record.has_template_body() || record.has_template_name() || record.has_role_arn();
}

Result<pki::Certificate> parse_ca(std::string_view pem, WallTime now) {
  IOTCORE_ASSIGN(pki::Certificate ca, pki::parse_certificate_pem(pem));
  if (!pki::is_ca_certificate(ca.der)) {
    return fail(
        Errc::kCertificateValidation,
        "The certificate is not a CA's: its basic constraints do not say CA:TRUE."
    );
  }
  if (!ca.strong_key) {
    return fail(
        Errc::kCertificateValidation,
        "The CA's key is not supported: RSA needs 2048 bits, EC one of P-256, P-384 and P-521."
    );
  }
  if (now > ca.not_after) {
    return fail(Errc::kCertificateValidation, "The CA certificate has expired.");
  }
  return ca;
}

bool has_common_name(const pki::Certificate& certificate, std::string_view name) {
  const auto found = certificate.subject.find("CommonName");
  return found != certificate.subject.end() &&
         std::find(found->second.begin(), found->second.end(), name) != found->second.end();
}

}  // namespace

Status CaCertificates::check_possession(
    const pki::Certificate& ca, const api::RegisterCACertificateRequest& request
) {
  if (request.certificate_mode() == "SNI_ONLY") {
    if (request.has_verification_certificate()) {
      return fail(
          Errc::kInvalidRequest,
          "verificationCertificate does not go with certificateMode SNI_ONLY: leave it out"
      );
    }
    return {};
  }
  if (!request.has_verification_certificate()) {
    return fail(
        Errc::kInvalidRequest,
        "verificationCertificate is required for CA certificates of certificateMode DEFAULT"
    );
  }
  IOTCORE_ASSIGN(
      const pki::Certificate verification,
      pki::parse_certificate_pem(request.verification_certificate())
  );
  if (!pki::is_issued_by(verification.der, ca.der)) {
    return fail(
        Errc::kCertificateValidation,
        "The verification certificate is not signed by the CA certificate."
    );
  }
  IOTCORE_ASSIGN(const auto code, store_.get(keys::kPrincipals, keys::registration_code()));
  if (!code || !has_common_name(verification, code->value)) {
    return fail(
        Errc::kRegistrationCodeValidation,
        "The common name of the verification certificate is not this account's registration code."
    );
  }
  return {};
}

Result<api::RegisterCACertificateResponse> CaCertificates::add(
    const api::RegisterCACertificateRequest& request
) {
  IOTCORE_ASSIGN(const pki::Certificate ca, parse_ca(request.ca_certificate(), clock_.wall()));
  IOTCORE_TRY(check_possession(ca, request));
  IOTCORE_TRY(until_no_conflict([&] { return try_add(ca, request); }));
  api::RegisterCACertificateResponse response;
  response.set_certificate_arn(options_.account.arn("cacert", ca.id));
  response.set_certificate_id(ca.id);
  return response;
}

Status CaCertificates::try_add(
    const pki::Certificate& ca, const api::RegisterCACertificateRequest& request
) {
  const std::size_t max = options_.limits.cas_per_subject_max;
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> same_subject,
      store_.scan(keys::kPrincipals, keys::ca_certificates_by_subject(ca.subject_hash), {}, max + 1)
  );
  const bool known =
      std::any_of(same_subject.begin(), same_subject.end(), [&ca](const store::Entry& row) {
        return segment_of(row.key, 1) == ca.id;
      });
  if (!known && same_subject.size() >= max) {
    return fail(
        Errc::kLimitExceeded,
        "At most " + std::to_string(max) + " CA certificates may have the same subject"
    );
  }
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  record::CaCertificate record;
  record.set_der(ca.der);
  record.set_status(request.set_as_active() ? record::ACTIVE : record::INACTIVE);
  record.set_mode(request.certificate_mode() == "SNI_ONLY" ? record::SNI_ONLY : record::DEFAULT);
  record.set_created_ms(now_ms);
  record.set_modified_ms(now_ms);
  record.set_not_before_ms(to_epoch_ms(ca.not_before));
  record.set_not_after_ms(to_epoch_ms(ca.not_after));
  record.set_customer_version(1);
  record.set_generation_id(new_uuid());
  record.set_auto_registration(request.allow_auto_registration());
  IOTCORE_TRY(set_config(record, request.registration_config()));

  const auto arn = options_.account.arn("cacert", ca.id);
  IOTCORE_ASSIGN(const auto present, store_.get(keys::kPrincipals, keys::ca_certificate(ca.id)));
  if (present) {
    return certificate_exists(ca.id, arn);
  }
  store::Batch batch;
  batch.expect_absent(keys::kPrincipals, keys::ca_certificate(ca.id));
  batch.put(keys::kPrincipals, keys::ca_certificate(ca.id), to_row(record));
  batch.put(keys::kPrincipals, keys::ca_certificates_by_subject(ca.subject_hash).text(ca.id), {});
  put_in_age_lists(batch, keys::ca_certificates_by_age, now_ms, ca.id);
  IOTCORE_TRY(Tags::put(batch, "cacert/" + ca.id, request.tags()));
  IOTCORE_TRY(set_named_template(store_, batch, ca.id, {}, record.template_name()));
  return quota_.add([&] { return commit(store_, std::move(batch)); });
}

Result<api::DescribeCACertificateResponse> CaCertificates::describe(
    const api::DescribeCACertificateRequest& request
) {
  const std::string id = normal_certificate_id(request.certificate_id());
  IOTCORE_ASSIGN(const auto found, read(store_, id));
  const record::CaCertificate& record = found.record;
  api::DescribeCACertificateResponse response;
  api::CACertificateDescription& out = *response.mutable_certificate_description();
  describe_certificate(out, record, options_.account, "cacert", id);
  out.set_auto_registration_status(record.auto_registration() ? "ENABLE" : "DISABLE");
  if (has_config(record)) {
    api::RegistrationConfig& config = *response.mutable_registration_config();
    if (record.has_template_body()) {
      config.set_template_body(record.template_body());
    }
    if (record.has_template_name()) {
      config.set_template_name(record.template_name());
    }
    if (record.has_role_arn()) {
      config.set_role_arn(record.role_arn());
    }
  }
  return response;
}

Result<api::UpdateCACertificateResponse> CaCertificates::update(
    const api::UpdateCACertificateRequest& request
) {
  const std::string id = normal_certificate_id(request.certificate_id());
  const auto attempt = [&]() -> Status {
    IOTCORE_ASSIGN(auto found, read(store_, id));
    record::CaCertificate& record = found.record;
    const std::string template_before = record.template_name();
    if (request.has_new_status()) {
      record.set_status(request.new_status() == "ACTIVE" ? record::ACTIVE : record::INACTIVE);
    }
    if (request.has_registration_config()) {
      IOTCORE_TRY(set_config(record, request.registration_config()));
    }
    if (request.has_new_auto_registration_status()) {
      record.set_auto_registration(request.new_auto_registration_status() == kEnable);
    }
    if (request.remove_auto_registration()) {
      if (request.has_registration_config() || request.new_auto_registration_status() == kEnable) {
        return fail(
            Errc::kInvalidRequest,
            "removeAutoRegistration does not go with a registrationConfig or with ENABLE"
        );
      }
      record.set_auto_registration(false);
      IOTCORE_TRY(set_config(record, {}));
    }
    record.set_modified_ms(to_epoch_ms(clock_.wall()));
    record.set_customer_version(record.customer_version() + 1);
    store::Batch batch;
    batch.expect_revision(keys::kPrincipals, keys::ca_certificate(id), found.revision);
    batch.put(keys::kPrincipals, keys::ca_certificate(id), to_row(record));
    IOTCORE_TRY(set_named_template(store_, batch, id, template_before, record.template_name()));
    return commit(store_, std::move(batch));
  };
  IOTCORE_TRY(until_no_conflict(attempt));
  return api::UpdateCACertificateResponse();
}

Result<api::DeleteCACertificateResponse> CaCertificates::remove(
    const api::DeleteCACertificateRequest& request
) {
  const std::string id = normal_certificate_id(request.certificate_id());
  const auto attempt = [&]() -> Status {
    IOTCORE_ASSIGN(const auto found, read(store_, id));
    if (found.record.status() == record::ACTIVE) {
      return fail(
          Errc::kCertificateState,
          "CA certificate must be deactivated before deletion (id: " + id + ")"
      );
    }
    IOTCORE_ASSIGN(const pki::Certificate ca, pki::parse_certificate_der(found.record.der()));
    store::Batch batch;
    batch.expect_revision(keys::kPrincipals, keys::ca_certificate(id), found.revision);
    batch.erase(keys::kPrincipals, keys::ca_certificate(id));
    IOTCORE_TRY(Tags::erase(store_, batch, "cacert/" + id));
    IOTCORE_TRY(set_named_template(store_, batch, id, found.record.template_name(), {}));
    batch.erase(keys::kPrincipals, keys::ca_certificates_by_subject(ca.subject_hash).text(id));
    erase_from_age_lists(batch, keys::ca_certificates_by_age, found.record.created_ms(), id);
    return quota_.remove([&] { return commit(store_, std::move(batch)); });
  };
  IOTCORE_TRY(until_no_conflict(attempt));
  return api::DeleteCACertificateResponse();
}

Result<api::ListCACertificatesResponse> CaCertificates::list(
    const api::ListCACertificatesRequest& request
) {
  IOTCORE_ASSIGN(
      PageRequest page,
      PageRequest::make(
          keys::kPrincipals,
          keys::ca_certificates_by_age(request.ascending_order()),
          optional_text(request.has_marker(), request.marker()),
          optional_size(request.has_page_size(), request.page_size()),
          kPageDefault
      )
  );
  const std::size_t size = page.size();
  PageReader reader(store_, std::move(page));
  api::ListCACertificatesResponse response;
  do {
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> rows,
        reader.next(size - static_cast<std::size_t>(response.certificates_size()))
    );
    for (const store::Entry& row : rows) {
      const std::string id = id_in_age_row(row.key);
      IOTCORE_ASSIGN(
          const auto found,
          find_record<record::CaCertificate>(store_, keys::kPrincipals, keys::ca_certificate(id))
      );
      if (!found || (request.has_template_name() &&
                     found->record.template_name() != request.template_name())) {
        continue;
      }
      auto& out = *response.add_certificates();
      out.set_certificate_arn(options_.account.arn("cacert", id));
      out.set_certificate_id(id);
      out.set_status(record::CertificateStatus_Name(found->record.status()));
      out.set_creation_date(found->record.created_ms());
    }
  } while (reader.token() && static_cast<std::size_t>(response.certificates_size()) < size);
  if (reader.token()) {
    response.set_next_marker(*reader.token());
  }
  return response;
}

Result<api::ListCertificatesByCAResponse> CaCertificates::list_certificates(
    const api::ListCertificatesByCARequest& request
) {
  const std::string ca = normal_certificate_id(request.ca_certificate_id());
  api::ListCertificatesByCAResponse response;
  IOTCORE_TRY(read_marker_page(
      store_,
      keys::kPrincipals,
      keys::certificates_of_ca(ca, request.ascending_order()),
      request,
      response,
      kPageDefault,
      [&](const std::vector<store::Entry>& rows) {
        std::vector<std::string> ids;
        for (const store::Entry& row : rows) {
          ids.push_back(id_in_age_row(row.key, 1));
        }
        return add_summaries(*response.mutable_certificates(), store_, options_.account, ids);
      }
  ));
  return response;
}

Result<api::GetRegistrationCodeResponse> CaCertificates::registration_code(
    const api::GetRegistrationCodeRequest& /*request*/
) {
  api::GetRegistrationCodeResponse response;
  const auto attempt = [&]() -> Status {
    IOTCORE_ASSIGN(const auto found, store_.get(keys::kPrincipals, keys::registration_code()));
    if (found) {
      response.set_registration_code(found->value);
      return {};
    }
    response.set_registration_code(to_hex(random_bytes(32)));
    store::Batch batch;
    batch.expect_absent(keys::kPrincipals, keys::registration_code());
    batch.put(keys::kPrincipals, keys::registration_code(), response.registration_code());
    return commit(store_, std::move(batch));
  };
  IOTCORE_TRY(until_no_conflict(attempt));
  return response;
}

Result<api::DeleteRegistrationCodeResponse> CaCertificates::delete_registration_code(
    const api::DeleteRegistrationCodeRequest& /*request*/
) {
  const auto attempt = [&]() -> Status {
    IOTCORE_ASSIGN(const auto found, store_.get(keys::kPrincipals, keys::registration_code()));
    if (!found) {
      return fail(Errc::kNotFound, "This account has no registration code");
    }
    store::Batch batch;
    batch.expect_revision(keys::kPrincipals, keys::registration_code(), found->revision);
    batch.erase(keys::kPrincipals, keys::registration_code());
    return commit(store_, std::move(batch));
  };
  IOTCORE_TRY(until_no_conflict(attempt));
  return api::DeleteRegistrationCodeResponse();
}

}  // namespace iotcore::registry
