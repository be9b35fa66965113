#include "registry/domain_configurations.h"

#include "base/crypto.h"
#include "registry/authorizer_function.h"
#include "registry/keys.h"
#include "registry/named_resource.h"
#include "registry/page.h"
#include "registry/tags.h"

#include <algorithm>
#include <array>

namespace iotcore::registry {
namespace {

constexpr std::string_view kDefaultSecurityPolicy = "IoTSecurityPolicy_TLS13_1_2_2022_10";
constexpr std::array<std::string_view, 6> kSecurityPolicies = {
    "IoTSecurityPolicy_TLS13_1_3_2022_10",
    kDefaultSecurityPolicy,
    "IoTSecurityPolicy_TLS12_1_2_2022_10",
    "IoTSecurityPolicy_TLS12_1_0_2016_01",
    "IoTSecurityPolicy_TLS12_1_0_2015_01",
    "IoTSecurityPolicy_TLS13_1_2_2022_01"};

struct Managed {
  std::string_view name;
  std::string_view service_type;
};

constexpr std::array<Managed, 4> kManaged = {{
    {"iot:Data-ATS", "DATA"},
    {"iot:Data", "DATA"},
    {"iot:CredentialProvider", "CREDENTIAL_PROVIDER"},
    {"iot:Jobs", "JOBS"},
}};

constexpr std::size_t kPageDefault = 25;

bool is_managed(std::string_view name) {
  return std::any_of(kManaged.begin(), kManaged.end(), [name](const Managed& managed) {
    return managed.name == name;
  });
}

std::string absent(std::string_view name) {
  return "Domain configuration " + std::string(name) + " does not exist";
}

bool is_host(std::string_view host) {
  return !host.empty() && host.front() != '.' && host.back() != '.' &&
         host.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string_view::npos;
}

// What stands behind the account in its ARN.
std::string tagged_as(std::string_view name, const record::DomainConfiguration& record) {
  return "domainconfiguration/" + std::string(name) + "/" + record.arn_suffix();
}

// The parts that creating and updating have in common.
template <typename Request>
Status take_settings(
    const net::HttpRules& http, record::DomainConfiguration& record, const Request& request
) {
  if (request.has_authorizer_config()) {
    const api::AuthorizerConfig& config = request.authorizer_config();
    record.set_has_authorizer_config(true);
    record.clear_default_authorizer_name();
    if (config.has_default_authorizer_name()) {
      record.set_default_authorizer_name(config.default_authorizer_name());
    }
    record.set_allow_authorizer_override(config.allow_authorizer_override());
  }
  if (request.has_tls_config() && request.tls_config().has_security_policy()) {
    const std::string& policy = request.tls_config().security_policy();
    if (std::find(kSecurityPolicies.begin(), kSecurityPolicies.end(), policy) ==
        kSecurityPolicies.end()) {
      return fail(Errc::kInvalidRequest, "There is no security policy " + policy);
    }
    record.set_security_policy(policy);
  }
  if (request.has_server_certificate_config()) {
    const api::ServerCertificateConfig& config = request.server_certificate_config();
    if (config.has_enable_ocsp_check()) {
      record.set_enable_ocsp_check(config.enable_ocsp_check());
    }
    record.set_ocsp_lambda_arn(config.ocsp_lambda_arn());
    record.set_ocsp_authorized_responder_arn(config.ocsp_authorized_responder_arn());
  }
  if (request.has_authentication_type()) {
    record.set_authentication_type(request.authentication_type());
  }
  if (request.has_application_protocol()) {
    record.set_application_protocol(request.application_protocol());
  }
  if (request.has_client_certificate_config()) {
    const std::string& callback =
        request.client_certificate_config().client_certificate_callback_arn();
    IOTCORE_TRY(check_function_url(http, callback));
    record.set_client_certificate_callback_arn(callback);
  }
  return check_domain_protocols(record.authentication_type(), record.application_protocol());
}

}  // namespace

std::string DomainConfigurations::arn(
    std::string_view name, const record::DomainConfiguration& record
) const {
  return options_.account.arn(tagged_as(name, record));
}

Result<api::CreateDomainConfigurationResponse> DomainConfigurations::create(
    const api::CreateDomainConfigurationRequest& request
) {
  const std::string& name = request.domain_configuration_name();
  const std::lock_guard one_at_a_time(creating_);
  record::DomainConfiguration record;
  if (request.has_domain_name()) {
    record.set_domain_name(lower_host(request.domain_name()));
    if (!is_host(record.domain_name())) {
      return fail(
          Errc::kInvalidRequest, "domainName is not the name of a host: " + request.domain_name()
      );
    }
    if (table_.find(record.domain_name()) != nullptr) {
      return fail(
          Errc::kInvalidRequest,
          "Another domain configuration has the domain name " + record.domain_name()
      );
    }
  }
  IOTCORE_TRY(take_settings(options_.http, record, request));
  record.set_arn_suffix(to_hex(random_bytes(3)).substr(0, 5));
  *record.mutable_server_certificate_arns() = request.server_certificate_arns();
  record.set_validation_certificate_arn(request.validation_certificate_arn());
  record.set_service_type(request.has_service_type() ? request.service_type() : "DATA");
  record.set_enabled(true);
  record.set_created_ms(to_epoch_ms(clock_.wall()));
  record.set_status_changed_ms(record.created_ms());
  const auto key = keys::domain_configuration(name);
  store::Batch batch;
  batch.expect_absent(keys::kPrincipals, key);
  batch.put(keys::kPrincipals, key, to_row(record));
  IOTCORE_TRY(Tags::put(batch, tagged_as(name, record), request.tags()));
  const auto create = [&] {
    return commit_new(
        store_,
        std::move(batch),
        Error(Errc::kAlreadyExists, "Domain configuration " + name + " already exists")
            .with("resourceId", name)
            .with("resourceArn", options_.account.arn("domainconfiguration", name))
    );
  };
  IOTCORE_TRY(quota_.add(create));
  table_.reload();
  api::CreateDomainConfigurationResponse response;
  response.set_domain_configuration_name(name);
  response.set_domain_configuration_arn(arn(name, record));
  return response;
}

api::DescribeDomainConfigurationResponse DomainConfigurations::describe_managed(
    std::string_view name
) const {
  const Managed& managed = *std::find_if(
      kManaged.begin(), kManaged.end(), [name](const Managed& one) { return one.name == name; }
  );
  api::DescribeDomainConfigurationResponse response;
  response.set_domain_configuration_name(std::string(name));
  response.set_domain_configuration_arn(options_.account.arn("domainconfiguration", name));
  response.set_domain_configuration_status("ENABLED");
  response.set_service_type(std::string(managed.service_type));
  response.set_domain_type("ENDPOINT");
  response.mutable_tls_config()->set_security_policy(std::string(kDefaultSecurityPolicy));
  response.set_authentication_type("DEFAULT");
  response.set_application_protocol("DEFAULT");
  return response;
}

Result<api::DescribeDomainConfigurationResponse> DomainConfigurations::describe(
    const api::DescribeDomainConfigurationRequest& request
) {
  const std::string& name = request.domain_configuration_name();
  if (is_managed(name)) {
    return describe_managed(name);
  }
  IOTCORE_ASSIGN(
      const auto found,
      get_record<record::DomainConfiguration>(
          store_, keys::kPrincipals, keys::domain_configuration(name), absent(name)
      )
  );
  const record::DomainConfiguration& record = found.record;
  api::DescribeDomainConfigurationResponse response;
  response.set_domain_configuration_name(name);
  response.set_domain_configuration_arn(arn(name, record));
  if (!record.domain_name().empty()) {
    response.set_domain_name(record.domain_name());
  }
  for (const std::string& certificate : record.server_certificate_arns()) {
    api::ServerCertificateSummary& summary = *response.add_server_certificates();
    summary.set_server_certificate_arn(certificate);
    summary.set_server_certificate_status("VALID");
  }
  if (record.has_authorizer_config()) {
    api::AuthorizerConfig& config = *response.mutable_authorizer_config();
    if (record.has_default_authorizer_name()) {
      config.set_default_authorizer_name(record.default_authorizer_name());
    }
    config.set_allow_authorizer_override(record.allow_authorizer_override());
  }
  response.set_domain_configuration_status(record.enabled() ? "ENABLED" : "DISABLED");
  response.set_service_type(record.service_type());
  response.set_domain_type(record.domain_name().empty() ? "AWS_MANAGED" : "CUSTOMER_MANAGED");
  response.set_last_status_change_date(record.status_changed_ms());
  response.mutable_tls_config()->set_security_policy(
      record.security_policy().empty() ? std::string(kDefaultSecurityPolicy)
                                       : record.security_policy()
  );
  const auto or_default = [](const std::string& word) { return word.empty() ? "DEFAULT" : word; };
  response.set_authentication_type(or_default(record.authentication_type()));
  response.set_application_protocol(or_default(record.application_protocol()));
  if (record.has_enable_ocsp_check() || !record.ocsp_lambda_arn().empty()) {
    api::ServerCertificateConfig& config = *response.mutable_server_certificate_config();
    config.set_enable_ocsp_check(record.enable_ocsp_check());
    if (!record.ocsp_lambda_arn().empty()) {
      config.set_ocsp_lambda_arn(record.ocsp_lambda_arn());
    }
    if (!record.ocsp_authorized_responder_arn().empty()) {
      config.set_ocsp_authorized_responder_arn(record.ocsp_authorized_responder_arn());
    }
  }
  if (!record.client_certificate_callback_arn().empty()) {
    response.mutable_client_certificate_config()->set_client_certificate_callback_arn(
        record.client_certificate_callback_arn()
    );
  }
  return response;
}

Result<api::UpdateDomainConfigurationResponse> DomainConfigurations::update(
    const api::UpdateDomainConfigurationRequest& request
) {
  const std::string& name = request.domain_configuration_name();
  if (is_managed(name)) {
    return fail(Errc::kInvalidRequest, name + " is AWS's own and cannot be changed");
  }
  if (request.remove_authorizer_config() && request.has_authorizer_config()) {
    return fail(
        Errc::kInvalidRequest, "removeAuthorizerConfig does not go with an authorizerConfig"
    );
  }
  api::UpdateDomainConfigurationResponse response;
  const auto attempt = [&]() -> Status {
    const auto key = keys::domain_configuration(name);
    IOTCORE_ASSIGN(
        auto found,
        get_record<record::DomainConfiguration>(store_, keys::kPrincipals, key, absent(name))
    );
    record::DomainConfiguration& record = found.record;
    IOTCORE_TRY(take_settings(options_.http, record, request));
    if (request.remove_authorizer_config()) {
      record.set_has_authorizer_config(false);
      record.clear_default_authorizer_name();
      record.set_allow_authorizer_override(false);
    }
    const bool enabled = request.has_domain_configuration_status()
                             ? request.domain_configuration_status() == "ENABLED"
                             : record.enabled();
    if (enabled != record.enabled()) {
      record.set_enabled(enabled);
      record.set_status_changed_ms(to_epoch_ms(clock_.wall()));
    }
    response.set_domain_configuration_arn(arn(name, record));
    store::Batch batch;
    batch.expect_revision(keys::kPrincipals, key, found.revision);
    batch.put(keys::kPrincipals, key, to_row(record));
    return commit(store_, std::move(batch));
  };
  IOTCORE_TRY(until_no_conflict(attempt));
  table_.reload();
  response.set_domain_configuration_name(name);
  return response;
}

Result<api::DeleteDomainConfigurationResponse> DomainConfigurations::remove(
    const api::DeleteDomainConfigurationRequest& request
) {
  const std::string& name = request.domain_configuration_name();
  if (is_managed(name)) {
    return fail(Errc::kInvalidRequest, name + " is AWS's own and cannot be deleted");
  }
  const auto attempt = [&]() -> Status {
    const auto key = keys::domain_configuration(name);
    IOTCORE_ASSIGN(
        const auto found,
        get_record<record::DomainConfiguration>(store_, keys::kPrincipals, key, absent(name))
    );
    if (found.record.enabled()) {
      return fail(
          Errc::kInvalidRequest,
          "The domain configuration " + name + " is ENABLED; disable it before it is deleted"
      );
    }
    store::Batch batch;
    batch.expect_revision(keys::kPrincipals, key, found.revision);
    batch.erase(keys::kPrincipals, key);
    IOTCORE_TRY(Tags::erase(store_, batch, tagged_as(name, found.record)));
    return quota_.remove([&] { return commit(store_, std::move(batch)); });
  };
  IOTCORE_TRY(until_no_conflict(attempt));
  table_.reload();
  return api::DeleteDomainConfigurationResponse();
}

namespace {

// AWS's own stand behind all others: a marker there is a key that no row has.
store::Key managed_key(std::size_t index) {
  return keys::domain_configurations().text("\x7f" + std::to_string(index));
}

std::size_t first_managed(const api::ListDomainConfigurationsRequest& request) {
  for (std::size_t i = 0; request.has_marker() && i < kManaged.size(); ++i) {
    if (request.marker() == to_base64(managed_key(i))) {
      return i + 1;
    }
  }
  return 0;
}

}  // namespace

Result<api::ListDomainConfigurationsResponse> DomainConfigurations::list(
    const api::ListDomainConfigurationsRequest& request
) {
  IOTCORE_ASSIGN(
      PageRequest page,
      PageRequest::make(
          keys::kPrincipals,
          keys::domain_configurations(),
          optional_text(request.has_marker(), request.marker()),
          optional_size(request.has_page_size(), request.page_size()),
          kPageDefault
      )
  );
  const auto wanted = [&request](std::string_view type) {
    return !request.has_service_type() || request.service_type() == type;
  };
  api::ListDomainConfigurationsResponse response;
  const auto add = [&response](std::string_view name, std::string arn, std::string_view type) {
    auto& out = *response.add_domain_configurations();
    out.set_domain_configuration_name(std::string(name));
    out.set_domain_configuration_arn(std::move(arn));
    out.set_service_type(std::string(type));
  };
  const std::size_t size = page.size();
  const auto room = [&response, size] {
    return size - static_cast<std::size_t>(response.domain_configurations_size());
  };
  PageReader reader(store_, std::move(page));
  do {
    IOTCORE_ASSIGN(const std::vector<store::Entry> rows, reader.next(room()));
    for (const store::Entry& row : rows) {
      IOTCORE_ASSIGN(const auto record, parse_record<record::DomainConfiguration>(row.value));
      if (wanted(record.service_type())) {
        const std::string name = segment_of(row.key, 0);
        add(name, arn(name, record), record.service_type());
      }
    }
  } while (reader.token() && room() > 0);
  if (reader.token()) {
    response.set_next_marker(*reader.token());
    return response;
  }
  std::size_t last = kManaged.size();
  for (std::size_t i = first_managed(request); i < kManaged.size(); ++i) {
    if (!wanted(kManaged[i].service_type)) {
      continue;
    }
    if (room() == 0) {
      // Behind the last one that is here, or before all of them.
      response.set_next_marker(
          last == kManaged.size() ? to_base64(keys::domain_configurations().text("\x7f"))
                                  : to_base64(managed_key(last))
      );
      break;
    }
    add(kManaged[i].name,
        options_.account.arn("domainconfiguration", kManaged[i].name),
        kManaged[i].service_type);
    last = i;
  }
  return response;
}

}  // namespace iotcore::registry
