#pragma once

#include "base/metrics.h"
#include "base/result.h"
#include "base/tracing.h"
#include "net/http_client.h"

#include <atomic>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <thread>

namespace iotcore::server {

struct TraceExportOptions {
  std::string endpoint;  // http://HOST:PORT/v1/traces or https://…
  std::filesystem::path ca_file;
  double ratio = 0.01;
  std::string instance;  // service.instance.id
};

// Traces of publishes, sent to a collector by OTLP over HTTP as JSON. What it does not take in time is lost and counted: a message never waits for it.
class TraceExport {
 public:
  static Result<std::unique_ptr<TraceExport>> start(TraceExportOptions options, Metrics& metrics);
  // Sends what is there, once.
  ~TraceExport();
  TraceExport(const TraceExport&) = delete;
  TraceExport& operator=(const TraceExport&) = delete;

 private:
  TraceExport(
      TraceExportOptions options, net::HttpServer collector, std::string target, Metrics& metrics
  );
  void run();
  void send(std::span<const tracing::SpanRecord> spans);

  const TraceExportOptions options_;
  const std::string target_;
  net::HttpConnection collector_;
  Counter& exported_;
  Counter& failed_;
  bool was_up_ = true;
  tracing::Tracer tracer_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

// An ExportTraceServiceRequest (opentelemetry-proto 1.x, JSON).
std::string otlp_json(std::span<const tracing::SpanRecord> spans, std::string_view instance);

}  // namespace iotcore::server
