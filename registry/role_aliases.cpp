#include "registry/role_aliases.h"

#include "registry/age_lists.h"
#include "registry/certificate_rows.h"
#include "registry/keys.h"
#include "registry/marker_page.h"
#include "registry/named_resource.h"
#include "registry/tags.h"

namespace iotcore::registry {
namespace {

constexpr std::int32_t kDurationDefault = 3600;

std::string absent(std::string_view alias) {
  return "Role alias " + std::string(alias) + " does not exist";
}

Status check_role(const Account& account, std::string_view arn) {
  const auto principal = parse_principal(account, arn);
  if (!principal || principal->kind != Principal::Kind::kRole) {
    return fail(
        Errc::kInvalidRequest,
        "roleArn must be a role of this account: arn:aws:iam::" + account.id + ":role/NAME"
    );
  }
  return {};
}

}  // namespace

Result<api::CreateRoleAliasResponse> RoleAliases::create(const api::CreateRoleAliasRequest& request
) {
  const std::string& alias = request.role_alias();
  IOTCORE_TRY(check_role(options_.account, request.role_arn()));
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  record::RoleAlias record;
  record.set_role_arn(request.role_arn());
  record.set_credential_duration_s(
      request.has_credential_duration_seconds() ? request.credential_duration_seconds()
                                                : kDurationDefault
  );
  record.set_created_ms(now_ms);
  record.set_modified_ms(now_ms);
  const std::string arn = options_.account.arn("rolealias", alias);
  store::Batch batch;
  batch.expect_absent(keys::kPrincipals, keys::role_alias(alias));
  batch.put(keys::kPrincipals, keys::role_alias(alias), to_row(record));
  put_in_age_lists(batch, keys::role_aliases_by_age, now_ms, alias);
  IOTCORE_TRY(Tags::put(batch, "rolealias/" + alias, request.tags()));
  const auto create = [&] {
    return commit_new(
        store_,
        std::move(batch),
        Error(Errc::kAlreadyExists, "Role alias " + alias + " already exists")
            .with("resourceId", alias)
            .with("resourceArn", arn)
    );
  };
  IOTCORE_TRY(quota_.add(create));
  api::CreateRoleAliasResponse response;
  response.set_role_alias(alias);
  response.set_role_alias_arn(arn);
  return response;
}

Result<record::RoleAlias> RoleAliases::find(const std::string& alias) {
  IOTCORE_ASSIGN(
      auto found,
      get_record<record::RoleAlias>(
          store_, keys::kPrincipals, keys::role_alias(alias), absent(alias)
      )
  );
  return std::move(found.record);
}

Result<api::DescribeRoleAliasResponse> RoleAliases::describe(
    const api::DescribeRoleAliasRequest& request
) {
  IOTCORE_ASSIGN(const record::RoleAlias record, find(request.role_alias()));
  api::DescribeRoleAliasResponse response;
  api::RoleAliasDescription& out = *response.mutable_role_alias_description();
  out.set_role_alias(request.role_alias());
  out.set_role_alias_arn(options_.account.arn("rolealias", request.role_alias()));
  out.set_role_arn(record.role_arn());
  out.set_owner(options_.account.id);
  out.set_credential_duration_seconds(record.credential_duration_s());
  out.set_creation_date(record.created_ms());
  out.set_last_modified_date(record.modified_ms());
  return response;
}

Result<api::UpdateRoleAliasResponse> RoleAliases::update(const api::UpdateRoleAliasRequest& request
) {
  const std::string& alias = request.role_alias();
  if (request.has_role_arn()) {
    IOTCORE_TRY(check_role(options_.account, request.role_arn()));
  }
  const auto attempt = [&]() -> Status {
    const auto key = keys::role_alias(alias);
    IOTCORE_ASSIGN(
        auto found, get_record<record::RoleAlias>(store_, keys::kPrincipals, key, absent(alias))
    );
    if (request.has_role_arn()) {
      found.record.set_role_arn(request.role_arn());
    }
    if (request.has_credential_duration_seconds()) {
      found.record.set_credential_duration_s(request.credential_duration_seconds());
    }
    found.record.set_modified_ms(to_epoch_ms(clock_.wall()));
    store::Batch batch;
    batch.expect_revision(keys::kPrincipals, key, found.revision);
    batch.put(keys::kPrincipals, key, to_row(found.record));
    return commit(store_, std::move(batch));
  };
  IOTCORE_TRY(until_no_conflict(attempt));
  api::UpdateRoleAliasResponse response;
  response.set_role_alias(alias);
  response.set_role_alias_arn(options_.account.arn("rolealias", alias));
  return response;
}

Result<api::DeleteRoleAliasResponse> RoleAliases::remove(const api::DeleteRoleAliasRequest& request
) {
  const std::string& alias = request.role_alias();
  const auto attempt = [&]() -> Status {
    const auto key = keys::role_alias(alias);
    IOTCORE_ASSIGN(
        const auto found,
        get_record<record::RoleAlias>(store_, keys::kPrincipals, key, absent(alias))
    );
    store::Batch batch;
    batch.expect_revision(keys::kPrincipals, key, found.revision);
    batch.erase(keys::kPrincipals, key);
    IOTCORE_TRY(Tags::erase(store_, batch, "rolealias/" + alias));
    erase_from_age_lists(batch, keys::role_aliases_by_age, found.record.created_ms(), alias);
    return quota_.remove([&] { return commit(store_, std::move(batch)); });
  };
  IOTCORE_TRY(until_no_conflict(attempt));
  return api::DeleteRoleAliasResponse();
}

Result<api::ListRoleAliasesResponse> RoleAliases::list(const api::ListRoleAliasesRequest& request) {
  constexpr std::size_t kPageDefault = 250;
  api::ListRoleAliasesResponse response;
  IOTCORE_TRY(read_marker_page(
      store_,
      keys::kPrincipals,
      keys::role_aliases_by_age(request.ascending_order()),
      request,
      response,
      kPageDefault,
      [&response](const std::vector<store::Entry>& rows) -> Status {
        for (const store::Entry& row : rows) {
          response.add_role_aliases(id_in_age_row(row.key));
        }
        return {};
      }
  ));
  return response;
}

}  // namespace iotcore::registry
