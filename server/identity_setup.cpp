#include "server/identity_setup.h"

#include "base/files.h"
#include "registry/certificate_rows.h"
#include "rules/functions/remote_function.h"
#include "server/config_rules.h"

#include <algorithm>
#include <utility>

namespace iotcore::server {

namespace {

Result<std::string> call_local(
    const rules::SinkEnvironment& environment,
    std::string_view name,
    const std::string& event,
    std::chrono::milliseconds limit
) {
  functions::Invocation invocation;
  invocation.payload = event;
  invocation.patience = limit;
  IOTCORE_ASSIGN(
      functions::Answer answer,
      rules::call_function(environment, std::string(name), std::move(invocation))
  );
  if (answer.is_error) {
    return fail(
        Errc::kInvalidResponse,
        "The authorizer's function failed: " + functions::describe_error(answer)
    );
  }
  return std::move(answer.payload);
}

}  // namespace

registry::AuthorizerFunctions authorizer_functions(
    const Config& config,
    const std::unique_ptr<rules::Engine>& rules,
    const std::unique_ptr<Secrets>& secrets
) {
  registry::AuthorizerFunctions functions;
  functions.local =
      [&rules](std::string_view name, const std::string& event, std::chrono::milliseconds limit) {
        return call_local(rules->environment(), name, event, limit);
      };
  functions.secret = [&secrets](std::string_view authorizer) -> std::optional<std::string> {
    auto secret = secrets->secret("authorizer/" + std::string(authorizer));
    return secret ? std::optional(*std::move(secret)) : std::nullopt;
  };
  for (const std::string& entry : config.authorizer_functions) {
    const std::size_t equals = std::min(entry.find('='), entry.size());
    functions.targets[entry.substr(0, equals)] = entry.substr(std::min(equals + 1, entry.size()));
  }
  const auto file = config.authorizer_ca_file.empty()
                        ? std::filesystem::path("/etc/ssl/certs/ca-certificates.crt")
                        : config.authorizer_ca_file;
  functions.http = outbound_rules(config);
  functions.http.ca_pem = read_file(file).value_or(std::string());
  return functions;
}

void watch_certificates(
    Metrics& metrics,
    store::Store& store,
    const Clock& clock,
    const registry::CertificateIndex& index
) {
  metrics.gauge_from(
      "iotcore_certificates",
      "Registered certificates that have been read into memory, which takes a moment after the "
      "start",
      {},
      [&index] { return static_cast<double>(index.size()); }
  );
  metrics.gauge_from(
      "iotcore_certificate_index_bytes",
      "Memory by which certificates are found when their devices connect",
      {},
      [&index] { return static_cast<double>(index.memory_bytes()); }
  );
  metrics.gauge_from(
      "iotcore_certificates_ending_soon",
      "Registered certificates that end within 30 days; 10000 at most",
      {},
      [&store, &clock] {
        constexpr std::size_t kMost = 10'000;
        const auto ending = registry::count_ending(
            store, clock.wall(), clock.wall() + std::chrono::hours(24 * 30), kMost
        );
        return static_cast<double>(ending.value_or(0));
      }
  );
}

}  // namespace iotcore::server
