#pragma once

#include "base/result.h"
#include "registry/policy/evaluate.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What a custom authorizer's function is asked and answers (auth.md section 5). Pure.
namespace iotcore::registry {

struct AuthorizerEvent {
  struct Http {
    std::vector<std::pair<std::string, std::string>> headers;
    std::string query_string;  // with its question mark
  };

  struct Mqtt {
    std::optional<std::string> user_name;
    std::optional<std::string> password;  // its bytes
    std::optional<std::string> client_id;
  };

  std::optional<std::string> token;
  bool signature_verified = false;
  std::optional<std::string> server_name;
  // Of a peer that shows a certificate as well (CUSTOM_AUTH_X509).
  std::string certificate_pem;
  std::string certificate_id;
  std::optional<Http> http;
  std::optional<Mqtt> mqtt;
  std::string connection_id;
};

std::string to_json_text(const AuthorizerEvent& event);

struct AuthorizerAnswer {
  bool is_authenticated = false;
  // The rest only if it is.
  std::string principal_id;
  std::vector<std::string> policy_texts;
  std::vector<policy::NamedDocument> policies;
  std::chrono::seconds disconnect_after = std::chrono::hours(24);
  std::optional<std::chrono::seconds> refresh_after;
};

// Times out of range are moved into it. For a peer with a certificate the principal is the certificate, and there need be no policies. kInvalidResponse:
// what is wrong.
Result<AuthorizerAnswer> parse_authorizer_answer(
    std::string_view text, std::string_view certificate_id = {}
);

// What a user name says besides the user: "user?x-amz-customauthorizer-name=N&…&KEY=TOKEN".
struct UserNameParameters {
  std::optional<std::string> authorizer_name;
  std::optional<std::string> signature;
  std::vector<std::pair<std::string, std::string>> others;  // the token among them

  // The value of that name, in any case; null if there is none.
  const std::string* find(std::string_view name) const;
};

UserNameParameters parse_user_name(std::string_view user_name);
// The same of a query string, without its question mark. A plus is a plus in both: base64 has it.
UserNameParameters parse_authorizer_query(std::string_view query);

}  // namespace iotcore::registry
