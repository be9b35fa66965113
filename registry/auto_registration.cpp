#include "registry/auto_registration.h"

#include "base/json.h"
#include "base/log.h"
#include "registry/certificate_rows.h"
#include "registry/keys.h"

#include <algorithm>

namespace iotcore::registry {

AutoRegistration::AutoRegistration(
    store::Store& store,
    const Clock& clock,
    const Options& options,
    CertificateRegistration& registration,
    Metrics& metrics
)
    : store_(store),
      clock_(clock),
      options_(options),
      registration_(registration),
      registered_(metrics.counter(
          "iotcore_auto_registered_total", "Certificates registered when their devices connected"
      )),
      provisioned_(metrics.counter(
          "iotcore_auto_provisioned_total", "Certificates provisioned by the template of their CA"
      )),
      failed_(metrics.counter(
          "iotcore_auto_registration_failed_total",
          "Automatic registrations or provisionings that failed"
      )) {}

bool AutoRegistration::on_connect(std::string_view certificate_der, const DeviceFacts& facts) {
  const Result<bool> activated = try_connect(certificate_der, facts);
  if (!activated) {
    failed_.add_shared();
    log(LogLevel::kWarn,
        "certificate.auto_registration_failed",
        {{"client_id", facts.client_id}, {"why", activated.error().message()}});
    return false;
  }
  return *activated;
}

Result<std::optional<RegisteredCa>> AutoRegistration::find_ca(
    const pki::Certificate& certificate, bool names_host
) {
  IOTCORE_ASSIGN(std::vector<RegisteredCa> issuers, registration_.issuers_of(certificate));
  for (RegisteredCa& ca : issuers) {
    const record::CaCertificate& record = ca.row.record;
    if (record.status() == record::ACTIVE && record.auto_registration() &&
        (names_host || record.mode() != record::SNI_ONLY)) {
      return std::optional(std::move(ca));
    }
  }
  return std::nullopt;
}

Result<bool> AutoRegistration::try_connect(
    std::string_view certificate_der, const DeviceFacts& facts
) {
  IOTCORE_ASSIGN(const pki::Certificate certificate, pki::parse_certificate_der(certificate_der));
  if (!certificate.valid_at(clock_.wall()) || !certificate.strong_key) {
    return false;
  }
  IOTCORE_ASSIGN(
      const std::optional<RegisteredCa> ca, find_ca(certificate, !facts.server_name.empty())
  );
  if (!ca) {
    return false;
  }
  NewCertificate as;
  as.status = record::PENDING_ACTIVATION;
  as.mode = ca->row.record.mode();
  as.ca_certificate_id = ca->id;
  if (auto added = registration_.add(certificate, as); added) {
    registered_.add_shared();
    log(LogLevel::kInfo,
        "certificate.auto_registered",
        {{"certificate", certificate.id}, {"ca", ca->id}, {"client_id", facts.client_id}});
  } else if (added.error().code() != Errc::kAlreadyExists) {
    return fail(std::move(added).error());
  }
  IOTCORE_ASSIGN(const auto found, read_certificate(store_, certificate.id));
  if (found.record.status() != record::PENDING_ACTIVATION) {
    return found.record.status() == record::ACTIVE;
  }
  publish_event(certificate.id, ca->id, found.record, facts.client_id);
  const bool has_template =
      ca->row.record.has_template_body() || ca->row.record.has_template_name();
  if (!has_template || !provision_) {
    return false;
  }
  IOTCORE_TRY(provision_({certificate, ca->row.record}));
  provisioned_.add_shared();
  return true;
}

void AutoRegistration::publish_event(
    const std::string& id,
    const std::string& ca_id,
    const record::Certificate& record,
    std::string_view client_id
) {
  if (!publish_) {
    return;
  }
  json::object event;
  event["certificateId"] = id;
  event["caCertificateId"] = ca_id;
  event["timestamp"] = to_epoch_ms(clock_.wall());
  event["certificateStatus"] = record::CertificateStatus_Name(record.status());
  event["awsAccountId"] = options_.account.id;
  event["certificateRegistrationTimestamp"] = std::to_string(record.created_ms());
  publish_("$aws/events/certificates/registered/" + ca_id, to_json(event), std::string(client_id));
}

}  // namespace iotcore::registry
