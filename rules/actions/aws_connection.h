#pragma once

#include "base/clock.h"
#include "net/http_client.h"
#include "rules/actions/signing_options.h"
#include "rules/actions/target_options.h"
#include "rules/sink.h"
#include "rules/targets.h"

#include <optional>
#include <string>
#include <string_view>

// AWS itself behind an action: a target of kind `aws`.
namespace iotcore::rules::actions {

// Keys, region, account, and `endpoint`: of others that speak as AWS does; without it the region's own.
struct AwsOptions {
  SigningOptions signing;
  std::string account;
  std::optional<HttpOptions> http;
};

AwsOptions read_aws(MemberReader& members);

// Where requests go that name no endpoint: https://<host>.<region>.amazonaws.com.
HttpOptions aws_http(std::string_view host, std::string_view region);

// One of AWS's services: constants.
struct AwsEndpoint {
  std::string_view host;     // "data.iotsitewise"
  std::string_view service;  // that signatures name: "iotsitewise"
  // Without `endpoint`, where the service is has to be asked for by this operation, as "Timestream_20181101.DescribeEndpoints".
  std::string_view discovery = {};
};

// Requests to that service, signed, one after the other. Blocks; one thread at a time.
class AwsConnection {
 public:
  AwsConnection(AwsEndpoint endpoint, TargetRef target, const Targets& targets, const Clock& clock)
      : endpoint_(endpoint), target_(std::move(target)), targets_(targets), clock_(clock) {}

  // Opens the secrets, if that has not been done.
  Status ensure_open();

  // Opens all anew at the next call.
  void close() { connection_.reset(); }

  // POST, unless the request says otherwise.
  Result<net::HttpResponse> call(net::HttpRequest request);

  std::string_view service() const { return endpoint_.service; }

 private:
  Status discover();

  const AwsEndpoint endpoint_;
  const TargetRef target_;
  const Targets& targets_;
  const Clock& clock_;
  AwsOptions options_;
  HttpOptions http_;
  std::optional<net::HttpConnection> connection_;
};

// A request of AWS's JSON protocols: `operation` as "DynamoDB_20120810.PutItem", `version` "1.0" or "1.1".
net::HttpRequest aws_json_request(
    std::string_view operation, std::string_view version, const json::value& body
);

// Whether an error that AWS tells with 400 is worth another try. By its code, or by the text that has it.
bool is_aws_throttled(std::string_view text);
// What a whole answer means for the records of the request.
Outcome aws_outcome_of(const Result<net::HttpResponse>& response, std::string_view who);

}  // namespace iotcore::rules::actions
