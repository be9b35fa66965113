#include "registry/domain_table.h"

#include "base/log.h"
#include "registry/keys.h"
#include "registry/rows.h"

#include <algorithm>
#include <array>

namespace iotcore::registry {
namespace {

constexpr std::string_view kDefault = "DEFAULT";

struct Pair {
  std::string_view authentication;
  std::string_view protocol;
};

constexpr std::array kPairs = {
    Pair{"DEFAULT", "DEFAULT"},
    Pair{"AWS_X509", "SECURE_MQTT"},
    Pair{"AWS_X509", "HTTPS"},
    Pair{"CUSTOM_AUTH_X509", "SECURE_MQTT"},
    Pair{"CUSTOM_AUTH_X509", "HTTPS"},
    Pair{"AWS_SIGV4", "MQTT_WSS"},
    Pair{"AWS_SIGV4", "HTTPS"},
    Pair{"CUSTOM_AUTH", "SECURE_MQTT"},
    Pair{"CUSTOM_AUTH", "MQTT_WSS"},
    Pair{"CUSTOM_AUTH", "HTTPS"},
};

tl::unexpected<Error> refused(const char* code, std::string why) {
  return fail(Error(Errc::kNotAuthorized, std::move(why)).with("code", code));
}

Authentication authentication_of(std::string_view type) {
  return type == "AWS_X509"           ? Authentication::kCertificate
         : type == "AWS_SIGV4"        ? Authentication::kSignature
         : type == "CUSTOM_AUTH"      ? Authentication::kCustom
         : type == "CUSTOM_AUTH_X509" ? Authentication::kCustomAndCertificate
                                      : Authentication::kDefault;
}

bool lets_in(std::string_view protocol, Entrance entrance) {
  return protocol.empty() || protocol == kDefault ||
         (protocol == "SECURE_MQTT" && entrance == Entrance::kMqtt) ||
         (protocol == "MQTT_WSS" && entrance == Entrance::kWebSocket) ||
         (protocol == "HTTPS" && entrance == Entrance::kHttps);
}

}  // namespace

std::string lower_host(std::string_view host) {
  std::string out(host);
  for (char& c : out) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

Status check_domain_protocols(
    std::string_view authentication_type, std::string_view application_protocol
) {
  const auto is = [](std::string_view given, std::string_view word) {
    return given.empty() || given == word;
  };
  const bool fits = std::any_of(kPairs.begin(), kPairs.end(), [&](const Pair& pair) {
    return is(authentication_type, pair.authentication) && is(application_protocol, pair.protocol);
  });
  if (!fits) {
    return fail(
        Errc::kInvalidRequest,
        "authenticationType " + std::string(authentication_type) +
            " does not go with applicationProtocol " + std::string(application_protocol)
    );
  }
  return {};
}

DomainTable::DomainTable(store::Store& store, Executor& pool)
    : store_(store), table_(std::make_shared<const Table>()) {
  watch_ = store.watch(
      keys::kPrincipals,
      keys::domain_configurations(),
      pool,
      [this](const store::Change& /*change*/) { reload(); }
  );
  reload();
}

void DomainTable::reload() {
  const std::lock_guard one_at_a_time(reloading_);
  const auto rows =
      store_.scan(keys::kPrincipals, keys::domain_configurations(), {}, kDomainConfigurationsMax);
  if (!rows) {
    log(LogLevel::kError, "domain_configurations.unreadable", {{"why", rows.error().message()}});
    return;
  }
  auto fresh = std::make_shared<Table>();
  for (const store::Entry& row : *rows) {
    auto record = parse_record<record::DomainConfiguration>(row.value);
    if (record && !record->domain_name().empty()) {
      std::string host = record->domain_name();
      fresh->insert_or_assign(std::move(host), std::make_shared<const Domain>(*std::move(record)));
    }
  }
  const std::lock_guard lock(mutex_);
  table_ = std::move(fresh);
}

std::shared_ptr<const DomainTable::Domain> DomainTable::find(std::string_view host) const {
  std::shared_ptr<const Table> table;
  {
    const std::lock_guard lock(mutex_);
    table = table_;
  }
  if (table->empty() || host.empty()) {
    return nullptr;
  }
  const auto found = table->find(lower_host(host));
  return found == table->end() ? nullptr : found->second;
}

Result<Authentication> DomainTable::admit(std::string_view host, Entrance entrance) const {
  const auto domain = find(host);
  if (domain == nullptr) {
    return Authentication::kDefault;
  }
  if (!domain->enabled()) {
    return refused(
        "DOMAIN_CONFIGURATION_DISABLED",
        "the domain configuration of " + domain->domain_name() + " is disabled"
    );
  }
  if (!lets_in(domain->application_protocol(), entrance)) {
    return refused(
        "DOMAIN_CONFIGURATION_INVALID",
        domain->domain_name() + " is for " + domain->application_protocol() + " only"
    );
  }
  return authentication_of(domain->authentication_type());
}

}  // namespace iotcore::registry
