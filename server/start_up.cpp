#include "server/start_up.h"

#include "broker/quiescent.h"
#include "net/address_range.h"
#include "registry/pki/certificate_authority.h"
#include "server/config_rules.h"
#include "store/rocksdb_store.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <unistd.h>

namespace iotcore::server {

std::unique_ptr<broker::WorkerBroker> make_worker_broker(
    broker::Broker& broker, gateway::WorkerThreads& workers, WorkerId id
) {
  net::EventLoop& loop = workers.loop(id);
  auto made = std::make_unique<broker::WorkerBroker>(broker, id, loop.timers());
  workers.set_broker(id, *made);
  loop.at_turn_end(gateway::turn_order::kBroker, [made = made.get()] { made->end_turn(); });
  broker::QuiescentDomain& quiescent = broker.quiescent();
  loop.at_turn_end(gateway::turn_order::kReport, [&quiescent, id] { quiescent.quiescent(id); });
  loop.set_sleep_hooks(
      [&quiescent, id] { quiescent.offline(id); }, [&quiescent, id] { quiescent.online(id); }
  );
  return made;
}

Result<std::unique_ptr<store::Store>> open_store(
    const Config& config, const DataDir& data, Metrics& metrics
) {
  store::RocksDbOptions options;
  options.durability = config.store_durability == "sync" ? store::Durability::kSync
                       : config.store_durability == "os" ? store::Durability::kOs
                                                         : store::Durability::kMemory;
  options.block_cache_bytes = config.store_cache_bytes;
  options.metrics = &metrics;
  return store::open_rocksdb_store(data.store(), options);
}

Result<std::unique_ptr<TraceExport>> start_traces(Metrics& metrics) {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  TraceExportOptions options;
  options.endpoint = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
  if (const std::string base = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
      options.endpoint.empty() && !base.empty()) {
    options.endpoint = base + (base.ends_with('/') ? "v1/traces" : "/v1/traces");
  }
  if (options.endpoint.empty()) {
    return std::unique_ptr<TraceExport>();
  }
  options.ca_file = variable("OTEL_EXPORTER_OTLP_CERTIFICATE");
  options.instance = host_name();
  if (const std::string ratio = variable("OTEL_TRACES_SAMPLER_ARG"); !ratio.empty()) {
    const auto [end, error] =
        std::from_chars(ratio.data(), ratio.data() + ratio.size(), options.ratio);
    if (error != std::errc() || end != ratio.data() + ratio.size() || options.ratio < 0 ||
        options.ratio > 1) {
      return fail(
          Errc::kInvalidRequest, "OTEL_TRACES_SAMPLER_ARG is not a number from 0 to 1: " + ratio
      );
    }
  }
  return TraceExport::start(std::move(options), metrics);
}

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 && name[0] != '\0' ? name : "localhost";
}

registry::Options registry_options(const Config& config) {
  registry::Options options;
  options.account.region = config.aws_region;
  options.account.id = config.aws_account;
  options.limits = config.registry_limits;
  options.http = outbound_rules(config);
  options.key_type = *registry::pki::key_type_from(config.registry_key_type);
  return options;
}

gateway::GatewayLimits gateway_limits(const Config& config) {
  gateway::GatewayLimits limits;
  limits.connections_max = config.connections_max;
  limits.http_body_bytes_max = config.http_body_bytes_max;
  // Frames are passed on as they come, so that their size costs nothing; but a packet has to fit into one.
  limits.websocket_frame_bytes_max =
      std::max(limits.websocket_frame_bytes_max, 2 * config.mqtt.packet_bytes_max);
  limits.websocket_close_disconnects = config.mqtt_profile == Profile::kStrict;
  return limits;
}

void set_up(gateway::FaceConfig& face, const Config& config) {
  constexpr std::array<std::string_view, 4> kNames = {"mqtt", "mqtts", "http", "https"};
  const auto* named = std::find(kNames.begin(), kNames.end(), face.name);
  if (named != kNames.end()) {
    face.limits = config.face_limits[static_cast<std::size_t>(named - kNames.begin())];
  }
  const auto& proxied = config.proxy_faces;
  face.proxy_protocol = std::find(proxied.begin(), proxied.end(), face.name) != proxied.end();
  if (face.proxy_protocol) {
    face.trusted_proxies = net::parse_address_ranges(config.proxy_trusted).value();
  }
}

}  // namespace iotcore::server
