#pragma once

#include "gateway/call_control.h"
#include "gateway/http_handler.h"
#include "gateway/operations.h"
#include "rules/functions/local_functions.h"

#include <string>
#include <string_view>

namespace iotcore::server {

// AWS Lambda's Invoke (POST /2015-03-31/functions/NAME/invocations) for local functions, so that one can be tried as it is on AWS:
// boto3.client("lambda").invoke(FunctionName = …). Operators need lambda:InvokeFunction. Any thread.
class LambdaApi {
 public:
  struct Site {
    std::string region;
    std::string account;
  };

  // All of it outlives this and every reply. `pool` is for what blocks.
  LambdaApi(
      rules::LocalFunctions& functions, gateway::AccessControl& access, Executor& pool, Site site
  )
      : functions_(functions), access_(access), pool_(pool), site_(std::move(site)) {}

  // Whether it is asked there.
  static bool concerns(std::string_view path);

  void handle(net::HttpRequest request, gateway::CallerIdentity caller, gateway::HttpReply reply);

 private:
  void invoke(const net::HttpRequest& request, const std::string& named, gateway::HttpReply reply);
  std::string arn(std::string_view name) const;

  rules::LocalFunctions& functions_;
  gateway::AccessControl& access_;
  Executor& pool_;
  const Site site_;
};

}  // namespace iotcore::server
