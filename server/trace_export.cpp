#include "server/trace_export.h"

#include "base/crypto.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"

#include <boost/url/parse.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace iotcore::server {
namespace {

constexpr std::chrono::milliseconds kEvery{1000};
constexpr std::chrono::milliseconds kTimeout{5000};
constexpr std::size_t kSpansAtOnce = 512;

struct Collector {
  net::HttpServer server;
  std::string target;
};

Result<Collector> parse_endpoint(const TraceExportOptions& options) {
  const auto url = boost::urls::parse_uri(options.endpoint);
  const bool is_http = url.has_value() && (url->scheme() == "http" || url->scheme() == "https");
  if (!is_http || url->host_address().empty()) {
    return fail(
        Errc::kInvalidRequest,
        "OTEL_EXPORTER_OTLP_ENDPOINT is not a URL such as http://collector:4318: " +
            options.endpoint
    );
  }
  Collector collector;
  collector.server.host = url->host_address();
  collector.server.tls = url->scheme() == "https";
  collector.server.port = url->has_port() ? url->port_number() : collector.server.tls ? 443 : 80;
  if (!options.ca_file.empty()) {
    IOTCORE_ASSIGN(collector.server.ca_pem, read_file(options.ca_file));
  }
  const std::string path(url->encoded_path());
  collector.target = path.empty() || path == "/" ? "/v1/traces" : path;
  return collector;
}

void append_attribute(std::string& out, std::string_view key, std::string_view value) {
  out += out.back() == '[' ? "{\"key\":" : ",{\"key\":";
  append_json_string(out, key);
  out += ",\"value\":{\"stringValue\":";
  append_json_string(out, value);
  out += "}}";
}

void append_span(std::string& out, const tracing::SpanRecord& span) {
  const auto* const trace_id = reinterpret_cast<const char*>(span.context.trace_id.data());
  out += fmt::format(
      R"({{"traceId":"{}","spanId":"{:016x}",)",
      to_hex(std::string_view(trace_id, span.context.trace_id.size())),
      span.context.span_id
  );
  if (span.parent_id != 0) {
    out += fmt::format(R"("parentSpanId":"{:016x}",)", span.parent_id);
  }
  out += fmt::format(
      R"("name":"{}","kind":{},"startTimeUnixNano":"{}","endTimeUnixNano":"{}","attributes":[)",
      span.name,
      static_cast<int>(span.kind),
      span.start_ns,
      span.end_ns
  );
  for (const auto& [key, value] : span.attributes) {
    append_attribute(out, key, value);
  }
  out += "],\"status\":{";
  if (!span.error.empty()) {
    out += "\"code\":2,\"message\":";
    append_json_string(out, span.error);
  }
  out += "}}";
}

}  // namespace

std::string otlp_json(std::span<const tracing::SpanRecord> spans, std::string_view instance) {
  std::string out = R"({"resourceSpans":[{"resource":{"attributes":[)";
  append_attribute(out, "service.name", "iotcore");
  append_attribute(out, "service.instance.id", instance);
  out += R"(]},"scopeSpans":[{"scope":{"name":"iotcore"},"spans":[)";
  for (const tracing::SpanRecord& span : spans) {
    if (out.back() == '}') {
      out += ',';
    }
    append_span(out, span);
  }
  return out + "]}]}]}";
}

Result<std::unique_ptr<TraceExport>> TraceExport::start(
    TraceExportOptions options, Metrics& metrics
) {
  IOTCORE_ASSIGN(Collector collector, parse_endpoint(options));
  return std::unique_ptr<TraceExport>(new TraceExport(
      std::move(options), std::move(collector.server), std::move(collector.target), metrics
  ));
}

TraceExport::TraceExport(
    TraceExportOptions options, net::HttpServer collector, std::string target, Metrics& metrics
)
    : options_(std::move(options)),
      target_(std::move(target)),
      collector_(std::move(collector)),
      exported_(
          metrics.counter("iotcore_trace_spans_exported_total", "Spans that the collector took")
      ),
      failed_(metrics.counter(
          "iotcore_trace_spans_dropped_total", "Spans that could not be handed to the collector"
      )),
      tracer_(options_.ratio, metrics),
      thread_([this] { run(); }) {}

TraceExport::~TraceExport() {
  stop_ = true;
  tracer_.close();
  thread_.join();
}

void TraceExport::run() {
  for (bool is_last = false; !is_last;) {
    is_last = stop_;
    const std::vector<tracing::SpanRecord> spans = tracer_.take(kEvery);
    for (std::size_t i = 0; i < spans.size(); i += kSpansAtOnce) {
      send(std::span(spans).subspan(i, std::min(kSpansAtOnce, spans.size() - i)));
    }
  }
}

void TraceExport::send(std::span<const tracing::SpanRecord> spans) {
  net::HttpRequest request;
  request.method = "POST";
  request.target = target_;
  request.headers.set("Host", net::host_header(collector_.server()));
  request.headers.set("Content-Type", "application/json");
  request.body = otlp_json(spans, options_.instance);
  const Result<net::HttpResponse> answer = collector_.call(std::move(request), kTimeout);
  const bool is_up = answer && answer->status / 100 == 2;
  (is_up ? exported_ : failed_).add_shared(spans.size());
  if (is_up != was_up_) {
    log(is_up ? LogLevel::kInfo : LogLevel::kWarn,
        is_up ? "tracing.up" : "tracing.down",
        {{"endpoint", options_.endpoint},
         {"error", answer ? "status " + std::to_string(answer->status) : answer.error().message()}}
    );
    was_up_ = is_up;
  }
}

}  // namespace iotcore::server
