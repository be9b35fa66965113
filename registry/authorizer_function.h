#pragma once

#include "base/result.h"
#include "net/http_caller.h"

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::registry {

// Where the functions of custom authorizers are. AWS's ARNs name a function of Lambda; here the configuration says what stands for that name.
struct AuthorizerFunctions {
  // What the function of that name answers to the event; kNotFound: there is none. Blocks no longer than the limit.
  using Local = std::function<Result<std::string>(
      std::string_view name, const std::string& event, std::chrono::milliseconds limit
  )>;

  // What the targets of an authorizer that are URLs know this server by; nothing: it has none.
  using Secret = std::function<std::optional<std::string>(std::string_view authorizer)>;

  // By the function's name: "https://…", "http://…", or the path of a program with its arguments, separated by spaces.
  std::map<std::string, std::string, std::less<>> targets;
  // Of URLs that the API has named; what `targets` has may be anywhere. Its ca_pem counts for both.
  net::HttpRules http;
  std::chrono::milliseconds time_limit = std::chrono::seconds(5);
  Local local;    // asked about names that `targets` has not; may be empty
  Secret secret;  // may be empty
};

// Whether it can stand for a function: "arn:aws:lambda:REGION:ACCOUNT:function:NAME", "https://…" or "http://…", as far as that can be told before it is
// called. kInvalidRequest.
Status check_function_arn(const net::HttpRules& rules, std::string_view arn);
// The same of what need not be either; nothing is said of what is no URL.
Status check_function_url(const net::HttpRules& rules, std::string_view text);

// Hands the event to the function and returns its answer, both JSON. A URL gets it with the header x-signature, if the authorizer has a secret: the
// HMAC-SHA256 of the body under it, in hexadecimal digits. A program gets the event on its standard input and answers on its standard output.
// Blocks for at most the time limit. kUnavailable, kTimeout, kInvalidResponse, kNotFound: no target for that name; kForbidden: a URL of the API's that leads
// where it must not.
Result<std::string> call_authorizer_function(
    const AuthorizerFunctions& functions,
    std::string_view authorizer,
    std::string_view arn,
    const std::string& event
);

}  // namespace iotcore::registry
