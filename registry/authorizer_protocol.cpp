#include "registry/authorizer_protocol.h"

#include "base/crypto.h"
#include "base/json.h"
#include "net/http_message.h"

#include <algorithm>

namespace iotcore::registry {
namespace {

constexpr std::size_t kDocumentsMax = 10;
constexpr std::chrono::seconds kSecondsMin(300);
constexpr std::chrono::seconds kSecondsMax(86'400);
constexpr std::string_view kName = "x-amz-customauthorizer-name";
constexpr std::string_view kSignature = "x-amz-customauthorizer-signature";

tl::unexpected<Error> bad_answer(std::string what) {
  return fail(Errc::kInvalidResponse, "The authorizer's answer " + std::move(what));
}

bool is_principal_id(std::string_view id) {
  return !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  });
}

bool has_tls(const AuthorizerEvent& event) {
  return event.server_name || !event.certificate_id.empty();
}

json::object protocol_data(const AuthorizerEvent& event) {
  json::object data;
  if (has_tls(event)) {
    json::object tls;
    if (event.server_name) {
      tls["serverName"] = *event.server_name;
    }
    if (!event.certificate_id.empty()) {
      tls["x509CertificatePem"] = event.certificate_pem;
      tls["principalId"] = event.certificate_id;
    }
    data["tls"] = std::move(tls);
  }
  if (event.http) {
    json::object headers;
    for (const auto& [name, value] : event.http->headers) {
      headers[name] = value;
    }
    json::object http;
    http["headers"] = std::move(headers);
    http["queryString"] = event.http->query_string;
    data["http"] = std::move(http);
  }
  if (event.mqtt) {
    json::object mqtt;
    if (event.mqtt->user_name) {
      mqtt["username"] = *event.mqtt->user_name;
    }
    if (event.mqtt->password) {
      mqtt["password"] = to_base64(*event.mqtt->password);
    }
    if (event.mqtt->client_id) {
      mqtt["clientId"] = *event.mqtt->client_id;
    }
    data["mqtt"] = std::move(mqtt);
  }
  return data;
}

Result<std::optional<std::chrono::seconds>> read_seconds(
    const json::object& answer, std::string_view name
) {
  const json::value* value = find_member(answer, name);
  if (value == nullptr || value->is_null()) {
    return std::nullopt;
  }
  if (!value->is_number()) {
    return bad_answer("has a " + std::string(name) + " that is not a number");
  }
  const double seconds = value->to_number<double>();
  const double most = static_cast<double>(kSecondsMax.count());
  // In this order 0e999, which Boost.JSON reads as no number at all, is 0.
  const auto whole = static_cast<std::int64_t>(std::min(std::max(0.0, seconds), most));
  return std::optional(std::max(std::chrono::seconds(whole), kSecondsMin));
}

Status read_policies(const json::object& object, bool required, AuthorizerAnswer& answer) {
  const json::value* documents = find_member(object, "policyDocuments");
  if (documents == nullptr && !required) {
    return {};
  }
  if (documents == nullptr || !documents->is_array()) {
    return bad_answer("has no list policyDocuments");
  }
  if (documents->get_array().size() > kDocumentsMax) {
    return bad_answer("has more than " + std::to_string(kDocumentsMax) + " policyDocuments");
  }
  for (const json::value& document : documents->get_array()) {
    if (!document.is_object() && !document.is_string()) {
      return bad_answer("has a policy document that is neither an object nor a text");
    }
    std::string text =
        document.is_string() ? std::string(document.get_string()) : to_json(document);
    auto parsed = policy::parse_document(text, policy::Limits::strict());
    if (!parsed) {
      return bad_answer("has a policy document that is not valid: " + parsed.error().message());
    }
    std::string name = "policyDocuments[" + std::to_string(answer.policies.size()) + "]";
    answer.policies.push_back({std::move(name), *std::move(parsed)});
    answer.policy_texts.push_back(std::move(text));
  }
  return {};
}

}  // namespace

std::string to_json_text(const AuthorizerEvent& event) {
  json::object out;
  if (event.token) {
    out["token"] = *event.token;
  }
  out["signatureVerified"] = event.signature_verified;
  json::array protocols;
  if (has_tls(event)) {
    protocols.emplace_back("tls");
  }
  if (event.http) {
    protocols.emplace_back("http");
  }
  if (event.mqtt) {
    protocols.emplace_back("mqtt");
  }
  out["protocols"] = std::move(protocols);
  out["protocolData"] = protocol_data(event);
  out["connectionMetadata"] = json::object{{"id", event.connection_id}};
  return to_json(out);
}

Result<AuthorizerAnswer> parse_authorizer_answer(
    std::string_view text, std::string_view certificate_id
) {
  const auto parsed = parse_json(text);
  if (!parsed || !parsed->is_object()) {
    return bad_answer("is not a JSON object");
  }
  const json::object& object = parsed->get_object();
  const json::value* authenticated = find_member(object, "isAuthenticated");
  if (authenticated == nullptr || !authenticated->is_bool()) {
    return bad_answer("does not say isAuthenticated, true or false");
  }
  AuthorizerAnswer answer;
  answer.is_authenticated = authenticated->get_bool();
  if (!answer.is_authenticated) {
    return answer;
  }
  const json::value* principal = find_member(object, "principalId");
  if (principal == nullptr || !principal->is_string() ||
      !is_principal_id(std::string_view(principal->get_string()))) {
    return bad_answer("has no principalId of 1 to 128 letters and digits");
  }
  answer.principal_id = std::string(principal->get_string());
  if (!certificate_id.empty() && answer.principal_id != certificate_id) {
    return bad_answer("has a principalId other than the certificate's id");
  }
  IOTCORE_TRY(read_policies(object, certificate_id.empty(), answer));
  IOTCORE_ASSIGN(const auto disconnect, read_seconds(object, "disconnectAfterInSeconds"));
  answer.disconnect_after = disconnect.value_or(kSecondsMax);
  IOTCORE_ASSIGN(answer.refresh_after, read_seconds(object, "refreshAfterInSeconds"));
  return answer;
}

const std::string* UserNameParameters::find(std::string_view name) const {
  const auto found = std::find_if(others.begin(), others.end(), [name](const auto& parameter) {
    return net::equal_ignoring_case(parameter.first, name);
  });
  return found == others.end() ? nullptr : &found->second;
}

UserNameParameters parse_authorizer_query(std::string_view query) {
  UserNameParameters out;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const auto name = net::percent_decode(pair.substr(0, equals));
    const auto value = net::percent_decode(pair.substr(std::min(equals + 1, pair.size())));
    if (!name || !value || name->empty()) {
      continue;
    }
    if (net::equal_ignoring_case(*name, kName)) {
      out.authorizer_name = *value;
    } else if (net::equal_ignoring_case(*name, kSignature)) {
      out.signature = *value;
    } else {
      out.others.emplace_back(*name, *value);
    }
  }
  return out;
}

UserNameParameters parse_user_name(std::string_view user_name) {
  const std::size_t mark = user_name.find('?');
  return mark == std::string_view::npos ? UserNameParameters()
                                        : parse_authorizer_query(user_name.substr(mark + 1));
}

}  // namespace iotcore::registry
