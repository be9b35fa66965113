#include "server/app.h"

#include "base/clock.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "broker/broker.h"
#include "broker/quiescent.h"
#include "broker/worker_broker.h"
#include "fleet/job_requests.h"
#include "functions/functions.h"
#include "gateway/client_factory.h"
#include "gateway/gateway.h"
#include "gateway/openapi.h"
#include "gateway/operation_table.h"
#include "gateway/operations.h"
#include "gateway/worker_threads.h"
#include "registry/access_keys.h"
#include "registry/auto_registration.h"
#include "registry/custom_authorizers.h"
#include "registry/device_authorizer.h"
#include "registry/http_authorizer.h"
#include "registry/jitp.h"
#include "registry/operators.h"
#include "registry/pki/certificate_authority.h"
#include "registry/pki/sealing_key.h"
#include "registry/registry.h"
#include "registry/session_tokens.h"
#include "rules/engine.h"
#include "rules/query.h"
#include "rules/rule_folder.h"
#include "server/access_key_operations.h"
#include "server/admin.h"
#include "server/all_operations.h"
#include "server/api_access.h"
#include "server/api_client.h"
#include "server/audit_log.h"
#include "server/backup.h"
#include "server/backup_operations.h"
#include "server/ca_operations.h"
#include "server/config_changes.h"
#include "server/config_rules.h"
#include "server/config_shadow.h"
#include "server/credentials_operations.h"
#include "server/data_dir.h"
#include "server/function_site.h"
#include "server/greeting.h"
#include "server/http_api.h"
#include "server/identity_setup.h"
#include "server/lambda_api.h"
#include "server/registry_data.h"
#include "server/rule_functions.h"
#include "server/rule_operations.h"
#include "server/secrets.h"
#include "server/sqs_api.h"
#include "server/start_up.h"
#include "server/tls_faces.h"
#include "shadow/service.h"
#include "store/rocksdb_store.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <future>
#include <optional>
#include <unistd.h>
#include <vector>

namespace iotcore::server {
namespace {

constexpr std::string_view kVersion = "0.1.0";

}  // namespace

// In the order of construction; destroyed in reverse.
struct App::Parts {
  Parts() = default;
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  // After a start that failed half-way, too: what is destroyed below may still be in use on the pool.
  ~Parts() { stop_workers(); }

  Config config;
  std::filesystem::path ready_file;
  SystemClock clock;
  Metrics metrics;
  std::unique_ptr<TraceExport> traces;
  std::optional<DataDir> data;
  std::unique_ptr<gateway::WorkerThreads> workers;  // the store hands completions to their loops
  std::unique_ptr<store::Store> store;
  std::optional<registry::pki::SealingKey> sealing_key;
  std::optional<registry::pki::CertificateAuthority> authority;
  std::unique_ptr<registry::AccessKeys> keys;
  std::optional<registry::SessionTokens> session_tokens;
  std::optional<registry::AccessKeys::Key> new_administrator;
  std::unique_ptr<registry::Registry> registry;
  std::unique_ptr<registry::Operators> operators;
  std::unique_ptr<registry::AutoRegistration> auto_registration;
  std::unique_ptr<registry::CustomAuthorizers> custom_authorizers;
  std::unique_ptr<registry::DeviceAuthorizer> authorizer;
  std::unique_ptr<registry::HttpAuthorizer> http_authorizer;
  std::unique_ptr<broker::Broker> broker;
  std::vector<std::unique_ptr<broker::WorkerBroker>> worker_brokers;
  std::unique_ptr<shadow::Service> shadows;
  std::unique_ptr<fleet::JobRequests> job_requests;
  std::unique_ptr<Secrets> secrets;
  std::unique_ptr<functions::Functions> functions;
  std::unique_ptr<RuleFunctions> rule_functions;
  std::unique_ptr<rules::Engine> rules;
  std::unique_ptr<rules::RuleFolder> rule_folder;
  std::unique_ptr<gateway::OperationTable> operation_table;
  std::unique_ptr<gateway::OperationRegistry> operations;
  std::unique_ptr<ApiAccess> access;
  std::unique_ptr<AuditLog> audit;
  std::unique_ptr<Backups> backups;
  std::unique_ptr<gateway::Dispatcher> dispatcher;
  std::unique_ptr<LambdaApi> lambda_api;
  std::unique_ptr<SqsApi> sqs;
  std::unique_ptr<HttpApi> api;
  std::unique_ptr<AdminApi> admin;
  std::unique_ptr<TlsFaces> tls;
  std::unique_ptr<gateway::BrokerClients> clients;
  std::unique_ptr<gateway::Gateway> gateway;

  EndpointName endpoint;

  void stop_workers();
  Status open_data();
  Status make_identity();
  Status make_broker();
  Status make_services();
  Status make_api();
  Status make_tls();
  Status open_faces();
  Status start_registry();
  Status write_ready_file() const;
  void publish_event(std::string_view topic, std::string_view payload, std::string client_id);
  Status reset();
  std::vector<std::string> server_names() const;
};

void App::Parts::stop_workers() {
  if (registry != nullptr) {
    registry->stop();
  }
  if (workers != nullptr) {
    workers->stop();
  }
}

Status App::Parts::open_data() {
  IOTCORE_ASSIGN(traces, start_traces(metrics));
  IOTCORE_ASSIGN(DataDir opened, DataDir::open(config.data_dir));
  data.emplace(std::move(opened));
  IOTCORE_ASSIGN(store, open_store(config, *data, metrics));
  return {};
}

Status App::Parts::make_identity() {
  IOTCORE_ASSIGN(const bool has_keys, registry::AccessKeys::any(*store));
  IOTCORE_ASSIGN(
      registry::pki::SealingKey key,
      registry::pki::SealingKey::open(
          {.file =
               config.security_key_file.empty() ? data->sealing_key() : config.security_key_file,
           .passphrase = config.security_passphrase},
          !has_keys
      )
  );
  sealing_key.emplace(std::move(key));
  IOTCORE_ASSIGN(
      registry::pki::CertificateAuthority opened,
      registry::pki::CertificateAuthority::open(
          data->path(), clock, sealing_key->derive(registry::pki::kCaKeyPurpose)
      )
  );
  authority.emplace(std::move(opened));
  session_tokens.emplace(clock, *sealing_key);
  IOTCORE_ASSIGN(keys, registry::AccessKeys::open(*store, clock, *sealing_key));
  IOTCORE_ASSIGN(
      new_administrator, keys->ensure_administrator(data->credentials(), config.aws_region)
  );
  return {};
}

void App::Parts::publish_event(
    std::string_view topic, std::string_view payload, std::string client_id
) {
  broker::PublishView publish;
  publish.topic = topic;
  publish.payload = payload;
  publish.origin = broker::Origin::kService;
  broker::OwnedPublish owned;
  owned.message = broker::Message::make(publish);
  owned.client_id = std::move(client_id);
  broker->publish(std::move(owned), [](const Result<std::uint32_t>& /*receivers*/) {});
}

Status App::Parts::make_broker() {
  const std::size_t count =
      config.workers != 0 ? config.workers : gateway::WorkerThreads::default_worker_count();
  workers = std::make_unique<gateway::WorkerThreads>(count, config.blocking_threads, clock);
  registry = std::make_unique<registry::Registry>(
      *store, clock, registry_options(config), *authority, workers->blocking()
  );
  operators = std::make_unique<registry::Operators>(
      *keys, *session_tokens, registry->grants(), clock, registry->options()
  );
  auto_registration = std::make_unique<registry::AutoRegistration>(
      *store, clock, registry->options(), registry->certificate_registration(), metrics
  );
  custom_authorizers = std::make_unique<registry::CustomAuthorizers>(
      registry->authorizers(),
      registry->domains(),
      registry->devices(),
      authorizer_functions(config, rules, secrets),
      clock,
      registry->options(),
      metrics
  );
  authorizer = std::make_unique<registry::DeviceAuthorizer>(
      registry->devices(),
      registry::DeviceAuthorizer::Helpers{
          auto_registration.get(), custom_authorizers.get(), &registry->domains()},
      *workers,
      clock,
      metrics
  );
  http_authorizer = std::make_unique<registry::HttpAuthorizer>(registry->devices(), clock, metrics);
  broker =
      std::make_unique<broker::Broker>(config.mqtt, *workers, *store, *authorizer, clock, metrics);
  registry->devices().on_revoked([this](const std::string& principal) {
    broker->disconnect_principal(principal, broker::CloseReason::kAuthError);
  });
  auto_registration->on_event([this](std::string topic, std::string payload, std::string client) {
    publish_event(topic, payload, std::move(client));
  });
  auto_registration->on_template([this](const registry::AutoProvisioning& what) -> Status {
    std::string body = what.ca.template_body();
    if (!what.ca.has_template_body()) {
      IOTCORE_ASSIGN(body, registry->provisioning_templates().body_in_use(what.ca.template_name()));
    }
    return registry::provision_just_in_time(registry->provisioner(), what, body);
  });
  custom_authorizers->on_lost([this](const std::string& client_id) {
    broker->disconnect_client(ClientId(client_id), broker::CloseReason::kAuthError);
  });
  watch_certificates(metrics, *store, clock, registry->certificate_index());
  keys->on_withdrawn([this](const std::string& key) {
    broker->disconnect_principal(key, broker::CloseReason::kAuthError);
  });
  for (std::size_t i = 0; i < count; ++i) {
    worker_brokers.push_back(make_worker_broker(*broker, *workers, static_cast<WorkerId>(i)));
  }
  return broker->load();
}

Status App::Parts::make_services() {
  IOTCORE_ASSIGN(shadow::ServiceOptions shadow_settings, shadow_options(config));
  shadows = std::make_unique<shadow::Service>(std::move(shadow_settings), *broker);
  shadows->start();
  job_requests = std::make_unique<fleet::JobRequests>(*broker);
  functions =
      std::make_unique<functions::Functions>(function_site(config, data->path()), clock, metrics);
  secrets =
      std::make_unique<Secrets>(*store, *sealing_key, clock, Secrets::Options{config.secrets_dir});
  rule_functions =
      std::make_unique<RuleFunctions>(*shadows, *secrets, data->sinks() / rules::tables::kFileName);
  IOTCORE_ASSIGN(rules::EngineOptions rule_options, engine_options(config, *data));
  rule_options.functions = functions.get();
  rule_options.external = rule_functions.get();
  rule_options.origin = [this] { return endpoint.origin(); };
  rule_options.secrets = secrets.get();
  rules = std::make_unique<rules::Engine>(*broker, *store, rule_options);
  rule_functions->connect(rules->environment());
  IOTCORE_TRY(rules->load());
  rule_folder =
      std::make_unique<rules::RuleFolder>(config.rules_dir, rules->catalog(), rules->environment());
  return {};
}

Status App::Parts::make_api() {
  endpoint.host = config.endpoint_host.empty() ? host_name() : config.endpoint_host;
  IOTCORE_ASSIGN(operation_table, gateway::OperationTable::of_api());
  operations = std::make_unique<gateway::OperationRegistry>(*operation_table);
  rule_functions->connect([this](std::string_view operation, std::string_view thing) {
    return registry_data(*registry, *operation_table, operation, thing);
  });
  register_operations(
      *operations,
      {*broker,
       *registry,
       *http_authorizer,
       *custom_authorizers,
       *rules,
       *shadows,
       endpoint,
       workers->blocking()}
  );
  register_access_key_operations(
      *operations,
      *keys,
      *session_tokens,
      registry->policy_attachments(),
      registry->options().account
  );
  register_ca_operations(*operations, *authority);
  register_rule_operations(*operations, *rules, *secrets);
  register_credentials_operations(*operations, *registry, *http_authorizer, *session_tokens);
  backups = std::make_unique<Backups>(
      data->path(),
      config.backup_dir.empty() ? data->path() / "backups" : config.backup_dir,
      *store,
      clock
  );
  register_backup_operations(*operations, *backups);
  access = std::make_unique<ApiAccess>(*operators);
  if (config.audit_file != "off") {
    IOTCORE_ASSIGN(
        audit,
        AuditLog::open(
            data->path() / config.audit_file,
            config.audit_bytes_max,
            config.aws_account,
            clock,
            metrics
        )
    );
  }
  dispatcher = std::make_unique<gateway::Dispatcher>(
      *operation_table,
      *operations,
      workers->blocking(),
      gateway::Dispatcher::Site{config.aws_region, config.aws_account},
      gateway::Dispatcher::Control{access.get(), audit.get()}
  );
  sqs = std::make_unique<SqsApi>(*rules, *access, workers->blocking(), endpoint);
  // What DescribeEndpoint names is one, whether it is configured or not.
  std::vector<std::string> api_names = server_names();
  api_names.push_back(endpoint.host);
  api = std::make_unique<HttpApi>(
      HttpApi::Options{
          config.aws_region,
          config.dev,
          std::chrono::seconds(config.websocket_life_s),
          std::chrono::seconds(config.api_clock_skew_s),
          std::move(api_names)},
      *dispatcher,
      *sqs,
      *operators,
      *custom_authorizers,
      registry->domains(),
      clock,
      workers->blocking(),
      [this] { return reset(); }
  );
  lambda_api = std::make_unique<LambdaApi>(
      *rules->functions(),
      *access,
      workers->blocking(),
      LambdaApi::Site{config.aws_region, config.aws_account}
  );
  api->serve_functions(*lambda_api);
  admin = std::make_unique<AdminApi>(
      metrics,
      gateway::openapi_document(*operation_table, kVersion),
      [this]() -> Status {
        if (const auto failure = store->health().failure) {
          return fail(*failure);
        }
        return {};
      },
      [this](std::string_view database, std::string_view sql) {
        return rules::run_query(data->sinks(), database, sql);
      },
      workers->blocking()
  );
  return {};
}

std::vector<std::string> App::Parts::server_names() const {
  std::vector<std::string> names = config.tls_server_names;
  for (const ListenSetting* face : {&config.listen_mqtts, &config.listen_https}) {
    const bool any = face->host == "0.0.0.0" || face->host == "::" || face->host.empty();
    if (!any) {
      names.push_back(face->host);
    }
  }
  if (!config.endpoint_host.empty()) {
    names.push_back(config.endpoint_host);
  }
  return names;
}

Status App::Parts::make_tls() {
  IOTCORE_ASSIGN(
      tls, TlsFaces::make(config, *authority, registry->domains(), data->path(), server_names())
  );
  return {};
}

Status App::Parts::open_faces() {
  clients = std::make_unique<gateway::BrokerClients>(*workers, config.mqtt.packet_bytes_max);
  gateway = std::make_unique<gateway::Gateway>(*workers, *clients, metrics, gateway_limits(config));
  std::vector<gateway::FaceConfig> faces;
  const auto add = [&faces](std::string name, const ListenSetting& setting) {
    gateway::FaceConfig face;
    face.name = std::move(name);
    face.address.host = setting.host;
    face.address.port = setting.port;
    faces.push_back(std::move(face));
    return &faces.back();
  };
  if (config.listen_mqtt.is_on()) {
    gateway::FaceConfig* face = add("mqtt", config.listen_mqtt);
    face->mqtt = true;
    face->development = true;
  }
  if (config.listen_mqtts.is_on()) {
    gateway::FaceConfig* face = add("mqtts", config.listen_mqtts);
    face->mqtt = true;
    face->tls = &tls->mqtts();
  }
  if (config.listen_http.is_on()) {
    gateway::FaceConfig* face = add("http", config.listen_http);
    face->http = api.get();
    face->development = true;
  }
  if (config.listen_https.is_on()) {
    gateway::FaceConfig* face = add("https", config.listen_https);
    face->mqtt = true;
    face->http = api.get();
    face->tls = &tls->https();
  }
  if (config.listen_admin.is_on()) {
    gateway::FaceConfig* face = add("admin", config.listen_admin);
    face->http = admin.get();
    face->websocket_path.clear();
  }
  for (gateway::FaceConfig& face : faces) {
    set_up(face, config);
  }
  workers->start();
  workers->run_on_each([this](WorkerId id) {
    worker_brokers[index(id)]->bind_to_thread();
    broker->quiescent().online(id);
  });
  // Before the first client: what it publishes finds its rules.
  rules->start();
  IOTCORE_TRY(start_registry());
  rule_folder->scan();
  rule_folder->start();
  IOTCORE_TRY(gateway->open(std::move(faces)));
  const std::uint16_t https = gateway->port("https");
  const bool usual_ports = (https == 8443 || https == 443) && gateway->port("mqtts") == 8883;
  endpoint.port = usual_ports ? std::uint16_t{0} : https;
  return {};
}

// Rules and sessions hear of what the last run had no time to tell.
Status App::Parts::start_registry() {
  IOTCORE_TRY(registry->logging_options().apply());
  IOTCORE_TRY(registry->events().start(
      [this](std::string topic, std::string payload, Function<void()> done) {
        broker::PublishView view;
        view.topic = topic;
        view.payload = payload;
        view.qos = broker::Qos::kAtLeastOnce;
        view.origin = broker::Origin::kService;
        broker::OwnedPublish publish;
        publish.message = broker::Message::make(view);
        broker->publish(
            std::move(publish),
            [done = std::move(done)](Result<std::uint32_t> receivers) mutable {
              if (receivers) {
                done();
              }
            }
        );
      }
  ));
  return registry->dynamic_groups().start();
}

Status App::Parts::write_ready_file() const {
  json::object ports;
  for (const char* face : {"mqtt", "mqtts", "http", "https", "admin"}) {
    if (const std::uint16_t port = gateway->port(face); port != 0) {
      ports[face] = port;
    }
  }
  json::object ready;
  ready["pid"] = static_cast<std::int64_t>(::getpid());
  ready["ports"] = std::move(ports);
  ready["region"] = config.aws_region;
  ready["account"] = config.aws_account;
  ready["data_dir"] = data->path().string();
  const std::string text = to_json(ready) + "\n";
  IOTCORE_TRY(write_file(data->path() / kServerFile, text, FileMode::kPrivate));
  return ready_file.empty() ? Status() : write_file(ready_file, text, FileMode::kPublic);
}

Status App::Parts::reset() {
  log(LogLevel::kWarn, "account.reset");
  IOTCORE_TRY(registry->wipe());
  IOTCORE_TRY(rules->catalog().wipe());
  IOTCORE_TRY(rules->built_ins().wipe());
  IOTCORE_TRY(broker->wipe());
  std::promise<bool> shadows_gone;
  std::string why;
  shadows->wipe([&shadows_gone, &why](Status done) {
    if (!done) {
      why = done.error().message();
    }
    shadows_gone.set_value(done.has_value());
  });
  return shadows_gone.get_future().get() ? Status() : fail(Errc::kStoreIo, why);
}

Result<std::unique_ptr<App>> App::start(Config config, std::filesystem::path ready_file) {
  // Writing to a peer that has gone is an error of that write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  auto parts = std::make_unique<Parts>();
  parts->config = std::move(config);
  parts->ready_file = std::move(ready_file);
  IOTCORE_TRY(parts->open_data());
  IOTCORE_TRY(parts->make_identity());
  IOTCORE_TRY(parts->make_broker());
  IOTCORE_TRY(parts->make_services());
  IOTCORE_TRY(parts->make_api());
  IOTCORE_TRY(parts->make_tls());
  std::unique_ptr<App> app(new App(std::move(parts)));
  IOTCORE_TRY(app->parts_->open_faces());
  IOTCORE_TRY(app->parts_->write_ready_file());
  log(LogLevel::kInfo, "server.ready", {{"data_dir", app->parts_->data->path().string()}});
  return app;
}

App::App(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

App::~App() {
  if (parts_->gateway != nullptr) {
    stop();
  }
}

void App::stop() {
  log(LogLevel::kInfo, "server.stopping");
  // One span for both: what supervises the server waits for the sum.
  const MonotonicTime give_up_at =
      parts_->clock.now() + std::chrono::milliseconds(parts_->config.drain_ms);
  const auto left = [&] { return std::max(give_up_at - parts_->clock.now(), Duration::zero()); };
  parts_->gateway->close(std::chrono::duration_cast<std::chrono::milliseconds>(left()));
  parts_->rule_folder->stop();
  parts_->rules->stop(left());
  parts_->functions->stop(left());  // sinks may wait for them
  // Its threads speak to broker and workers, and nobody asks it any more.
  parts_->custom_authorizers.reset();
  parts_->stop_workers();
  parts_->gateway.reset();
  log(LogLevel::kInfo, "server.stopped");
}

void App::reload(const Result<Config>& read) {
  parts_->tls->reload();
  if (!read) {
    log(LogLevel::kError, "config.not_read", {{"error", read.error().message()}});
    return;
  }
  const std::vector<ConfigChange> changes = take_changes(parts_->config, *read);
  configure_log(parts_->config.log_level, parts_->config.log_format);
  for (const ConfigChange& change : changes) {
    log(change.applied ? LogLevel::kInfo : LogLevel::kWarn,
        change.applied ? "config.changed" : "config.changes_at_next_start",
        {{"key", change.key}, {"before", change.before}, {"now", change.now}});
  }
  take_targets(parts_->config, *read, *parts_->rules);
  log(LogLevel::kInfo, "config.read");
}

void App::poll() {
  parts_->tls->poll();
}

std::string App::greeting() const {
  return to_text(
      {kVersion,
       *parts_->data,
       parts_->config.aws_region,
       parts_->new_administrator,
       [this](std::string_view face) { return parts_->gateway->port(face); }}
  );
}

}  // namespace iotcore::server
