#pragma once

#include "functions/invocation.h"
#include "net/http_client.h"
#include "net/sigv4.h"
#include "rules/sink.h"
#include "rules/targets.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::rules {

class MemberReader;

// CREATE TARGET name AS lambda(…): functions that run elsewhere.
//
//   match                   which functions, as 'plant-*'
//   url                     with a path: what events are posted to, such as a runtime interface emulator's; without: a Lambda API, of AWS or alike
//   region, accessKey, secretKey   to sign for that
//   timeout                 seconds that an answer may take (30)
//
// AS stepFunctions(…), with the same options and `account`: a service that understands StartExecution of AWS Step Functions.
struct RemoteFunctionOptions {
  net::HttpServer server;
  std::string path;  // empty: the Lambda API's, by the function's name
  std::string region;
  std::string account;
  net::SigV4Credentials credentials;  // without an id: requests are not signed
  std::chrono::milliseconds timeout = std::chrono::seconds(30);
};

// Without the credentials, which may be secret.
RemoteFunctionOptions read_remote_function(MemberReader& options);

// For the list of target kinds.
struct LambdaTarget {
  static constexpr std::string_view kName = "lambda";

  static void check(MemberReader& options) { read_remote_function(options); }
};

struct StateMachineTarget {
  static constexpr std::string_view kName = "stepFunctions";

  static void check(MemberReader& options) { read_remote_function(options); }
};

// AWS's services behind targets of kind `aws`.
inline constexpr std::string_view kLambdaService = "lambda";
inline constexpr std::string_view kStatesService = "states";

// One thread at a time; blocks.
class RemoteFunction {
 public:
  // `service`: of AWS's, "lambda" or "states", for targets of kind `aws`.
  static Result<RemoteFunction> open(
      const Target& target, const Targets& targets, std::string_view service
  );

  // `is_event`: nobody waits for what the function returns, where that can be said. Errors as of a local function.
  Result<functions::Answer> call(
      std::string_view name, const functions::Invocation& invocation, bool is_event
  );
  // `invocation` as of a local function: {"name": …, "input": …}. One that is there already is well.
  Result<functions::Answer> start_execution(
      std::string_view machine, std::string_view execution, const functions::Invocation& invocation
  );

 private:
  explicit RemoteFunction(RemoteFunctionOptions options)
      : options_(std::move(options)), connection_(options_.server) {}

  Result<net::HttpResponse> send(
      net::HttpRequest request, std::string_view service, std::chrono::milliseconds patience
  );

  RemoteFunctionOptions options_;
  net::HttpConnection connection_;
};

// What a call of the function of that name comes to, be it here or elsewhere. Blocks.
Result<functions::Answer> call_function(
    const SinkEnvironment& environment, const std::string& name, functions::Invocation invocation
);

}  // namespace iotcore::rules
