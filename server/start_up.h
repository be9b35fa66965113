#pragma once

#include "base/metrics.h"
#include "broker/broker.h"
#include "broker/worker_broker.h"
#include "gateway/gateway.h"
#include "gateway/worker_threads.h"
#include "registry/options.h"
#include "server/config.h"
#include "server/data_dir.h"
#include "server/trace_export.h"
#include "store/store.h"

#include <memory>
#include <string>

// What the server is made of, as the configuration wants it.
namespace iotcore::server {

// Hooks a worker's broker into the worker's loop.
std::unique_ptr<broker::WorkerBroker> make_worker_broker(
    broker::Broker& broker, gateway::WorkerThreads& workers, WorkerId id
);
Result<std::unique_ptr<store::Store>> open_store(
    const Config& config, const DataDir& data, Metrics& metrics
);
// Null: no collector is named. By OpenTelemetry's own variables of the environment, which its operators know: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or
// OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_CERTIFICATE, OTEL_TRACES_SAMPLER_ARG.
Result<std::unique_ptr<TraceExport>> start_traces(Metrics& metrics);
std::string host_name();
registry::Options registry_options(const Config& config);

gateway::GatewayLimits gateway_limits(const Config& config);

// What the operator says of the face beside where it listens.
void set_up(gateway::FaceConfig& face, const Config& config);

}  // namespace iotcore::server
