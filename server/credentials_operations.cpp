#include "server/credentials_operations.h"

#include "proto/api/role_aliases.pb.h"
#include "registry/http_authorizer.h"
#include "registry/registry.h"
#include "registry/session_tokens.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

namespace iotcore::server {
namespace {

using gateway::CallContext;

std::string iso8601(std::int64_t epoch_ms) {
  const std::time_t seconds = epoch_ms / 1000;
  std::tm parts = {};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", parts);
}

// The thing that the device says to be must have its certificate.
Status check_thing(
    registry::Registry& registry, const std::string& thing, const std::string& certificate_id
) {
  api::ListThingPrincipalsRequest request;
  request.set_thing_name(thing);
  const auto principals = registry.thing_principals().list_principals(request);
  const std::string arn = registry.options().account.arn("cert", certificate_id);
  const bool has_it =
      principals &&
      std::find(principals->principals().begin(), principals->principals().end(), arn) !=
          principals->principals().end();
  return has_it ? Status()
                : fail(Errc::kForbidden, "The certificate is not attached to the thing " + thing);
}

Result<api::AssumeRoleWithCertificateResponse> assume_role(
    registry::Registry& registry,
    registry::HttpAuthorizer& authorizer,
    const registry::SessionTokens& tokens,
    const CallContext& context,
    const api::AssumeRoleWithCertificateRequest& request
) {
  if (context.peer.kind != broker::PeerIdentity::Kind::kCertificate) {
    return fail(Errc::kForbidden, "Credentials are for devices, which show a client certificate");
  }
  IOTCORE_TRY(authorizer.allows(
      context.peer, registry::policy::Action::kAssumeRoleWithCertificate, request.role_alias()
  ));
  if (request.has_thing_name()) {
    IOTCORE_TRY(check_thing(registry, request.thing_name(), context.peer.principal));
  }
  IOTCORE_ASSIGN(const record::RoleAlias alias, registry.role_aliases().find(request.role_alias()));
  IOTCORE_ASSIGN(
      const registry::Principal role,
      registry::parse_principal(registry.options().account, alias.role_arn())
  );
  const auto made = tokens.issue(
      role.resource, context.peer.principal, std::chrono::seconds(alias.credential_duration_s())
  );
  api::AssumeRoleWithCertificateResponse response;
  api::DeviceCredentials& out = *response.mutable_credentials();
  out.set_access_key_id(made.access_key_id);
  out.set_secret_access_key(made.secret);
  out.set_session_token(made.session_token);
  out.set_expiration(iso8601(made.expires_ms));
  return response;
}

}  // namespace

void register_credentials_operations(
    gateway::OperationRegistry& operations,
    registry::Registry& registry,
    registry::HttpAuthorizer& authorizer,
    const registry::SessionTokens& tokens
) {
  operations.add<api::AssumeRoleWithCertificateRequest, api::AssumeRoleWithCertificateResponse>(
      "AssumeRoleWithCertificate",
      [&](const CallContext& context, const api::AssumeRoleWithCertificateRequest& request) {
        return assume_role(registry, authorizer, tokens, context, request);
      }
  );
}

}  // namespace iotcore::server
