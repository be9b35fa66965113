#include "server/access_key_operations.h"

#include "proto/api/access_keys.pb.h"
#include "registry/access_keys.h"
#include "registry/operators.h"
#include "registry/policy_attachments.h"
#include "registry/session_tokens.h"

#include <algorithm>

namespace iotcore::server {
namespace {

using gateway::CallContext;
using registry::AccessKeys;

constexpr std::chrono::seconds kSessionDefault = std::chrono::hours(12);
constexpr std::chrono::seconds kBearerDefault = std::chrono::hours(1);

void describe(api::AccessKey& out, const AccessKeys::Key& key, const AccessKeys& keys) {
  out.set_access_key_id(key.id);
  if (!key.secret.empty()) {
    out.set_secret_access_key(key.secret);
  }
  out.set_user_name(key.user);
  out.set_role(record::User::Role_Name(keys.role_of(key.user).value_or(record::User::NONE)));
  out.set_status(key.active ? "ACTIVE" : "INACTIVE");
  out.set_create_date(key.created_ms);
}

// The key that signed, which temporary credentials and anybody on a development face have not.
Result<std::string> long_term_key(const CallContext& context) {
  if (context.signer == nullptr || context.signer->expires) {
    return fail(Errc::kInvalidRequest, "Sign this request with an access key that lasts.");
  }
  return context.signer->access_key_id;
}

Result<api::CreateAccessKeyResponse> create(
    AccessKeys& keys,
    registry::PolicyAttachments& attachments,
    const registry::Account& account,
    const api::CreateAccessKeyRequest& request
) {
  std::optional<AccessKeys::Role> role;
  if (request.has_role()) {
    record::User::Role parsed = record::User::NONE;
    record::User::Role_Parse(request.role(), &parsed);
    role = parsed;
  }
  IOTCORE_ASSIGN(const AccessKeys::Key key, keys.create(request.user_name(), role));
  for (const std::string& policy : request.policy_names()) {
    api::AttachPolicyRequest attach;
    attach.set_policy_name(policy);
    attach.set_target(
        registry::principal_text(account, registry::user_resource(request.user_name()))
    );
    if (auto attached = attachments.attach(attach); !attached) {
      ignore_error(keys.remove(key.id), "the first error is the one to tell");
      return fail(std::move(attached).error());
    }
  }
  api::CreateAccessKeyResponse response;
  describe(*response.mutable_access_key(), key, keys);
  return response;
}

Result<api::ListAccessKeysResponse> list(
    const AccessKeys& keys, const api::ListAccessKeysRequest& request
) {
  constexpr std::size_t kPage = 250;
  const std::size_t page =
      request.has_max_results() ? static_cast<std::size_t>(request.max_results()) : kPage;
  api::ListAccessKeysResponse response;
  for (const AccessKeys::Key& key : keys.list()) {
    if ((request.has_user_name() && key.user != request.user_name()) ||
        (request.has_next_token() && key.id <= request.next_token())) {
      continue;
    }
    if (static_cast<std::size_t>(response.access_keys_size()) == page) {
      response.set_next_token(response.access_keys(response.access_keys_size() - 1).access_key_id()
      );
      break;
    }
    describe(*response.add_access_keys(), key, keys);
  }
  return response;
}

Result<api::RotateAccessKeyResponse> rotate(
    AccessKeys& keys, const api::RotateAccessKeyRequest& request
) {
  const std::vector<AccessKeys::Key> all = keys.list();
  const auto old = std::find_if(all.begin(), all.end(), [&request](const AccessKeys::Key& key) {
    return key.id == request.access_key_id();
  });
  if (old == all.end()) {
    return fail(Errc::kNotFound, "Access key " + request.access_key_id() + " does not exist");
  }
  IOTCORE_ASSIGN(const AccessKeys::Key key, keys.create(old->user, std::nullopt));
  api::RotateAccessKeyResponse response;
  describe(*response.mutable_access_key(), key, keys);
  return response;
}

}  // namespace

void register_access_key_operations(
    gateway::OperationRegistry& operations,
    AccessKeys& keys,
    const registry::SessionTokens& tokens,
    registry::PolicyAttachments& attachments,
    const registry::Account& account
) {
  operations.add<api::CreateAccessKeyRequest, api::CreateAccessKeyResponse>(
      "CreateAccessKey",
      [&](const CallContext&, const api::CreateAccessKeyRequest& request) {
        return create(keys, attachments, account, request);
      }
  );
  operations.add<api::ListAccessKeysRequest, api::ListAccessKeysResponse>(
      "ListAccessKeys",
      [&keys](const CallContext&, const api::ListAccessKeysRequest& request) {
        return list(keys, request);
      }
  );
  operations.add<api::RotateAccessKeyRequest, api::RotateAccessKeyResponse>(
      "RotateAccessKey",
      [&keys](const CallContext&, const api::RotateAccessKeyRequest& request) {
        return rotate(keys, request);
      }
  );
  operations.add<api::UpdateAccessKeyRequest, api::UpdateAccessKeyResponse>(
      "UpdateAccessKey",
      [&keys](
          const CallContext&, const api::UpdateAccessKeyRequest& request
      ) -> Result<api::UpdateAccessKeyResponse> {
        IOTCORE_TRY(keys.set_active(request.access_key_id(), request.status() == "ACTIVE"));
        return api::UpdateAccessKeyResponse();
      }
  );
  operations.add<api::DeleteAccessKeyRequest, api::DeleteAccessKeyResponse>(
      "DeleteAccessKey",
      [&keys](
          const CallContext&, const api::DeleteAccessKeyRequest& request
      ) -> Result<api::DeleteAccessKeyResponse> {
        IOTCORE_TRY(keys.remove(request.access_key_id()));
        return api::DeleteAccessKeyResponse();
      }
  );
  operations.add<api::CreateSessionRequest, api::CreateSessionResponse>(
      "CreateSession",
      [&tokens](
          const CallContext& context, const api::CreateSessionRequest& request
      ) -> Result<api::CreateSessionResponse> {
        IOTCORE_TRY(long_term_key(context));
        const std::chrono::seconds duration = request.has_duration_seconds()
                                                  ? std::chrono::seconds(request.duration_seconds())
                                                  : kSessionDefault;
        const auto made =
            tokens.issue(context.signer->resource, context.signer->access_key_id, duration);
        api::CreateSessionResponse response;
        api::SessionCredentials& out = *response.mutable_credentials();
        out.set_access_key_id(made.access_key_id);
        out.set_secret_access_key(made.secret);
        out.set_session_token(made.session_token);
        out.set_expiration(made.expires_ms);
        return response;
      }
  );
  operations.add<api::CreateBearerTokenRequest, api::CreateBearerTokenResponse>(
      "CreateBearerToken",
      [&tokens](
          const CallContext& context, const api::CreateBearerTokenRequest& request
      ) -> Result<api::CreateBearerTokenResponse> {
        IOTCORE_ASSIGN(const std::string key, long_term_key(context));
        const auto made = tokens.issue_bearer(
            key,
            request.has_duration_seconds() ? std::chrono::seconds(request.duration_seconds())
                                           : kBearerDefault
        );
        api::CreateBearerTokenResponse response;
        response.set_token(made.token);
        response.set_expiration(made.expires_ms);
        return response;
      }
  );
}

}  // namespace iotcore::server
