#include "rules/actions/s3_endpoint.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "rules/actions/aws_connection.h"
#include "rules/actions/s3.h"
#include "rules/http_outcome.h"

#include <fmt/format.h>

namespace iotcore::rules::actions {
namespace {

constexpr std::string_view kWho = "S3";

// Encoded once, slashes kept: what S3 signs and what goes over the wire are the same.
std::string path_of(std::string_view key) {
  std::string path;
  while (true) {
    const std::size_t slash = key.find('/');
    path += net::percent_encode(key.substr(0, slash));
    if (slash == std::string_view::npos) {
      return path;
    }
    path += '/';
    key.remove_prefix(slash + 1);
  }
}

}  // namespace

S3Options read_s3(MemberReader& members) {
  S3Options options;
  options.http = read_http(members);
  options.signing = read_signing(members);
  options.path_style = members.optional_boolean("pathStyle").value_or(true);
  return options;
}

Result<S3Options> S3Endpoint::open() const {
  if (target_->kind == "s3") {
    return open_target(*target_, targets_, read_s3);
  }
  IOTCORE_ASSIGN(AwsOptions aws, open_target(*target_, targets_, read_aws));
  S3Options options;
  options.http = aws.http ? *std::move(aws.http) : aws_http("s3", aws.signing.region);
  options.signing = std::move(aws.signing);
  return options;
}

Status S3Endpoint::ensure_open() {
  if (options_) {
    return {};
  }
  IOTCORE_ASSIGN(S3Options options, open());
  IOTCORE_ASSIGN(server_, load_server(options.http));
  options_ = std::move(options);
  return {};
}

net::HttpConnection& S3Endpoint::connection_to(const std::string& bucket) {
  net::HttpServer server = server_;
  if (!options_->path_style) {
    server.host = bucket + "." + server.host;
  }
  if (!connection_ || connection_->server().host != server.host) {
    connection_.emplace(std::move(server));
  }
  return *connection_;
}

Outcome S3Endpoint::put(const Record& record) {
  if (record.fields.size() != kS3FieldCount) {
    return Outcome::permanent("not a record of this kind");
  }
  const std::string& bucket = record.fields[kBucket];
  net::HttpConnection& connection = connection_to(bucket);
  net::HttpRequest request;
  request.method = "PUT";
  request.target = options_->http.path + (options_->path_style ? "/" + path_of(bucket) : "") + "/" +
                   path_of(record.fields[kObjectKey]);
  request.headers.add("Host", net::host_header(connection.server()));
  request.headers.add(
      "Content-Type", record.is_json ? "application/json" : "application/octet-stream"
  );
  request.headers.add("x-amz-content-sha256", to_hex(as_text(sha256(record.payload))));
  request.headers.add("x-amz-meta-delivery-id", record.delivery_id);
  if (const std::string& acl = record.fields[kCannedAcl]; !acl.empty()) {
    request.headers.add("x-amz-acl", acl);
  }
  request.body = record.payload;
  if (!options_->signing.credentials.access_key_id.empty()) {
    net::sign(
        request,
        options_->signing.credentials,
        {options_->signing.region, "s3"},
        SystemClock().wall()
    );
  }
  const Result<net::HttpResponse> response =
      connection.call(std::move(request), options_->http.timeout);
  return response ? outcome_of(*response, kWho) : outcome_of(response.error(), kWho);
}

void S3Endpoint::deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  if (const Status open = ensure_open(); !open) {
    std::ranges::fill(outcomes, outcome_of(open.error(), kWho));
    return;
  }
  deliver_in_order(batch, outcomes, [this](const Record& record) { return put(record); });
}

Status S3Endpoint::probe() {
  IOTCORE_TRY(ensure_open());
  net::HttpRequest request;
  request.method = "HEAD";
  request.target = options_->http.path + "/";
  net::HttpConnection connection(server_);
  IOTCORE_ASSIGN(
      const net::HttpResponse response, connection.call(std::move(request), options_->http.timeout)
  );
  // Who we are does not matter here: it answers.
  return is_worth_a_retry(response.status)
             ? fail(Errc::kUnavailable, fmt::format("S3: {}", response.status))
             : Status();
}

Result<std::unique_ptr<Sink>> make_s3_endpoint(
    const TargetRef& target, const SinkEnvironment& environment
) {
  if (target->kind != "s3" && target->kind != "aws") {
    return fail(
        Errc::kNotImplemented, fmt::format("s3 has no way to targets of kind {}", target->kind)
    );
  }
  return std::make_unique<S3Endpoint>(target, *environment.targets);
}

}  // namespace iotcore::rules::actions
