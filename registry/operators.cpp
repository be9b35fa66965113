#include "registry/operators.h"

namespace iotcore::registry {
namespace {

// Of roles whose credentials are in use; beyond that, all are compiled anew.
constexpr std::size_t kKeptMax = 10'000;

tl::unexpected<Error> unrecognized() {
  return fail(Errc::kUnrecognizedClient, "The security token included in the request is invalid.");
}

}  // namespace

Result<Operators::SigningKey> Operators::find(
    std::string_view access_key_id, std::string_view session_token
) const {
  SigningKey found;
  found.who.access_key_id = access_key_id;
  if (!access_key_id.starts_with("ASIA")) {
    const std::optional<AccessKeys::Key> key = keys_.find(access_key_id);
    const auto role = key ? keys_.role_of(key->user) : std::nullopt;
    if (!role) {
      return unrecognized();
    }
    found.who.resource = user_resource(key->user);
    found.who.administrator = *role == record::User::ADMINISTRATOR;
    found.secret = key->secret;
    return found;
  }
  IOTCORE_ASSIGN(
      const record::TemporaryCredentials session, tokens_.open(access_key_id, session_token)
  );
  found.who.resource = session.principal();
  found.who.session_name = session.session_name();
  found.who.expires = from_epoch_ms(session.expires_ms());
  found.secret = session.secret();
  // The session of a key ends with the key.
  if (session.session_name().starts_with("AKIA") && !keys_.find(session.session_name())) {
    return unrecognized();
  }
  constexpr std::string_view kUser = "user/";
  if (found.who.resource.starts_with(kUser)) {
    const auto role = keys_.role_of(found.who.resource.substr(kUser.size()));
    if (!role) {
      return unrecognized();
    }
    found.who.administrator = *role == record::User::ADMINISTRATOR;
  }
  return found;
}

Result<Operator> Operators::find_bearer(std::string_view token) const {
  IOTCORE_ASSIGN(const std::string access_key_id, tokens_.open_bearer(token));
  IOTCORE_ASSIGN(SigningKey found, find(access_key_id, {}));
  return std::move(found.who);
}

Result<Operators::Compiled> Operators::policies_of(const Operator& who) {
  IOTCORE_ASSIGN(const std::vector<std::string> names, grants_.operator_policy_names(who.resource));
  IOTCORE_ASSIGN(Compiled compiled, grants_.compiled(names));
  const std::lock_guard lock(mutex_);
  if (last_.size() >= kKeptMax) {
    last_.clear();
  }
  last_[who.resource] = compiled;
  return compiled;
}

Status Operators::allows(
    const Operator& who,
    std::string_view source_ip,
    std::string_view action,
    std::span<const std::string> resources
) {
  if (who.administrator) {
    return {};
  }
  IOTCORE_ASSIGN(const Compiled policies, policies_of(who));
  DeviceFacts facts;
  facts.operator_resource = who.resource;
  facts.access_key_id = who.access_key_id;
  facts.source_ip = source_ip;
  facts.protocol = policy::Protocol::kHttps;
  const policy::BoundPolicies bound =
      policies->bind(context_of(facts, nullptr, std::nullopt, clock_));
  for (const std::string& resource : resources) {
    const std::string_view view = resource;
    if (!bound.decide(action, {&view, 1}).allowed()) {
      return fail(
          Errc::kAccessDenied,
          "User: " + principal_text(options_.account, who.resource) +
              " is not authorized to perform: " + std::string(action) + " on resource: " + resource
      );
    }
  }
  return {};
}

}  // namespace iotcore::registry
