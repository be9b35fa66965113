#include "registry/authorizers.h"

#include "registry/age_lists.h"
#include "registry/authorizer_function.h"
#include "registry/certificate_rows.h"
#include "registry/keys.h"
#include "registry/named_resource.h"
#include "registry/page.h"
#include "registry/pki/token_signature.h"
#include "registry/tags.h"

namespace iotcore::registry {
namespace {

constexpr std::string_view kActive = "ACTIVE";
// Of an authorizer: the one that signs, and the one that takes over from it.
constexpr int kSigningKeysMax = 2;

std::string absent(std::string_view name) {
  return "Authorizer " + std::string(name) + " does not exist";
}

Result<Stored<record::Authorizer>> read(store::Store& store, std::string_view name) {
  return get_record<record::Authorizer>(
      store, keys::kPrincipals, keys::authorizer(name), absent(name)
  );
}

// What an authorizer has to be, whether it is made or changed.
Status check(const net::HttpRules& http, const record::Authorizer& record) {
  IOTCORE_TRY(check_function_arn(http, record.function_arn()));
  for (const auto& [name, pem] : record.token_signing_public_keys()) {
    if (auto checked = pki::check_token_key(pem); !checked) {
      return fail(
          Errc::kInvalidRequest, "tokenSigningPublicKeys." + name + ": " + checked.error().message()
      );
    }
  }
  if (record.token_signing_public_keys_size() > kSigningKeysMax) {
    return fail(Errc::kInvalidRequest, "An authorizer has at most 2 tokenSigningPublicKeys");
  }
  if (record.signing_disabled() && !record.token_signing_public_keys().empty()) {
    return fail(Errc::kInvalidRequest, "tokenSigningPublicKeys do not go with signingDisabled");
  }
  if (!record.signing_disabled() &&
      (!record.has_token_key_name() || record.token_signing_public_keys().empty())) {
    return fail(
        Errc::kInvalidRequest,
        "tokenKeyName and tokenSigningPublicKeys are required unless signingDisabled is true"
    );
  }
  return {};
}

}  // namespace

Result<api::CreateAuthorizerResponse> Authorizers::create(
    const api::CreateAuthorizerRequest& request
) {
  const std::string& name = request.authorizer_name();
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  record::Authorizer record;
  record.set_function_arn(request.authorizer_function_arn());
  if (request.has_token_key_name()) {
    record.set_token_key_name(request.token_key_name());
  }
  *record.mutable_token_signing_public_keys() = request.token_signing_public_keys();
  record.set_active(request.status() == kActive);
  record.set_signing_disabled(request.signing_disabled());
  record.set_enable_caching_for_http(request.enable_caching_for_http());
  record.set_created_ms(now_ms);
  record.set_modified_ms(now_ms);
  IOTCORE_TRY(check(options_.http, record));

  const std::string arn = options_.account.arn("authorizer", name);
  store::Batch batch;
  batch.expect_absent(keys::kPrincipals, keys::authorizer(name));
  batch.put(keys::kPrincipals, keys::authorizer(name), to_row(record));
  put_in_age_lists(batch, keys::authorizers_by_age, now_ms, name);
  IOTCORE_TRY(Tags::put(batch, "authorizer/" + name, request.tags()));
  const auto create = [&] {
    return commit_new(
        store_,
        std::move(batch),
        Error(Errc::kAlreadyExists, "Authorizer " + name + " already exists")
            .with("resourceId", name)
            .with("resourceArn", arn)
    );
  };
  IOTCORE_TRY(quota_.add(create));
  api::CreateAuthorizerResponse response;
  response.set_authorizer_name(name);
  response.set_authorizer_arn(arn);
  return response;
}

Result<record::Authorizer> Authorizers::find(std::string_view name) {
  IOTCORE_ASSIGN(auto found, read(store_, name));
  return std::move(found.record);
}

api::AuthorizerDescription Authorizers::description(
    const std::string& name, const record::Authorizer& record
) const {
  api::AuthorizerDescription out;
  out.set_authorizer_name(name);
  out.set_authorizer_arn(options_.account.arn("authorizer", name));
  out.set_authorizer_function_arn(record.function_arn());
  if (record.has_token_key_name()) {
    out.set_token_key_name(record.token_key_name());
  }
  *out.mutable_token_signing_public_keys() = record.token_signing_public_keys();
  out.set_status(record.active() ? "ACTIVE" : "INACTIVE");
  out.set_creation_date(record.created_ms());
  out.set_last_modified_date(record.modified_ms());
  out.set_signing_disabled(record.signing_disabled());
  out.set_enable_caching_for_http(record.enable_caching_for_http());
  return out;
}

Result<api::DescribeAuthorizerResponse> Authorizers::describe(
    const api::DescribeAuthorizerRequest& request
) {
  IOTCORE_ASSIGN(const record::Authorizer record, find(request.authorizer_name()));
  api::DescribeAuthorizerResponse response;
  *response.mutable_authorizer_description() = description(request.authorizer_name(), record);
  return response;
}

Result<api::UpdateAuthorizerResponse> Authorizers::update(
    const api::UpdateAuthorizerRequest& request
) {
  const std::string& name = request.authorizer_name();
  const auto attempt = [&]() -> Status {
    IOTCORE_ASSIGN(auto found, read(store_, name));
    record::Authorizer& record = found.record;
    if (request.has_authorizer_function_arn()) {
      record.set_function_arn(request.authorizer_function_arn());
    }
    if (request.has_token_key_name()) {
      record.set_token_key_name(request.token_key_name());
    }
    // By name: a new one is put beside the one that is in use.
    for (const auto& [key_name, pem] : request.token_signing_public_keys()) {
      (*record.mutable_token_signing_public_keys())[key_name] = pem;
    }
    if (request.has_status()) {
      record.set_active(request.status() == kActive);
    }
    if (request.has_enable_caching_for_http()) {
      record.set_enable_caching_for_http(request.enable_caching_for_http());
    }
    record.set_modified_ms(to_epoch_ms(clock_.wall()));
    IOTCORE_TRY(check(options_.http, record));
    store::Batch batch;
    batch.expect_revision(keys::kPrincipals, keys::authorizer(name), found.revision);
    batch.put(keys::kPrincipals, keys::authorizer(name), to_row(record));
    return commit(store_, std::move(batch));
  };
  IOTCORE_TRY(until_no_conflict(attempt));
  api::UpdateAuthorizerResponse response;
  response.set_authorizer_name(name);
  response.set_authorizer_arn(options_.account.arn("authorizer", name));
  return response;
}

Result<api::DeleteAuthorizerResponse> Authorizers::remove(
    const api::DeleteAuthorizerRequest& request
) {
  const std::string& name = request.authorizer_name();
  const auto attempt = [&]() -> Status {
    IOTCORE_ASSIGN(const auto found, read(store_, name));
    if (found.record.active()) {
      return fail(
          Errc::kDeleteConflict, "The authorizer " + name + " is ACTIVE; make it INACTIVE first"
      );
    }
    store::Batch batch;
    batch.expect_revision(keys::kPrincipals, keys::authorizer(name), found.revision);
    batch.erase(keys::kPrincipals, keys::authorizer(name));
    IOTCORE_TRY(Tags::erase(store_, batch, "authorizer/" + name));
    erase_from_age_lists(batch, keys::authorizers_by_age, found.record.created_ms(), name);
    // As it is now: nobody makes it the default meanwhile.
    const auto default_key = keys::default_authorizer();
    IOTCORE_ASSIGN(const auto chosen, store_.get(keys::kPrincipals, default_key));
    if (chosen) {
      batch.expect_revision(keys::kPrincipals, default_key, chosen->revision);
    } else {
      batch.expect_absent(keys::kPrincipals, default_key);
    }
    if (chosen && chosen->value == name) {
      return fail(
          Errc::kDeleteConflict, "The authorizer " + name + " is the default; change that first"
      );
    }
    return quota_.remove([&] { return commit(store_, std::move(batch)); });
  };
  IOTCORE_TRY(until_no_conflict(attempt));
  return api::DeleteAuthorizerResponse();
}

Result<api::ListAuthorizersResponse> Authorizers::list(const api::ListAuthorizersRequest& request) {
  IOTCORE_ASSIGN(
      PageRequest page,
      PageRequest::make(
          keys::kPrincipals,
          keys::authorizers_by_age(request.ascending_order()),
          optional_text(request.has_marker(), request.marker()),
          optional_size(request.has_page_size(), request.page_size())
      )
  );
  const std::size_t size = page.size();
  PageReader reader(store_, std::move(page));
  api::ListAuthorizersResponse response;
  do {
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> rows,
        reader.next(size - static_cast<std::size_t>(response.authorizers_size()))
    );
    for (const store::Entry& row : rows) {
      const std::string name = id_in_age_row(row.key);
      IOTCORE_ASSIGN(
          const auto found,
          find_record<record::Authorizer>(store_, keys::kPrincipals, keys::authorizer(name))
      );
      if (!found ||
          (request.has_status() && found->record.active() != (request.status() == kActive))) {
        continue;
      }
      auto& out = *response.add_authorizers();
      out.set_authorizer_name(name);
      out.set_authorizer_arn(options_.account.arn("authorizer", name));
    }
  } while (reader.token() && static_cast<std::size_t>(response.authorizers_size()) < size);
  if (reader.token()) {
    response.set_next_marker(*reader.token());
  }
  return response;
}

Result<std::optional<std::string>> Authorizers::default_name() {
  IOTCORE_ASSIGN(const auto row, store_.get(keys::kPrincipals, keys::default_authorizer()));
  return row ? std::optional<std::string>(row->value) : std::nullopt;
}

Result<api::SetDefaultAuthorizerResponse> Authorizers::set_default(
    const api::SetDefaultAuthorizerRequest& request
) {
  const std::string& name = request.authorizer_name();
  const auto attempt = [&]() -> Status {
    IOTCORE_ASSIGN(const auto found, read(store_, name));
    const auto default_key = keys::default_authorizer();
    IOTCORE_ASSIGN(const auto chosen, store_.get(keys::kPrincipals, default_key));
    if (chosen && chosen->value == name) {
      return fail(Error(Errc::kAlreadyExists, "The authorizer " + name + " is the default already")
                      .with("resourceId", name)
                      .with("resourceArn", options_.account.arn("authorizer", name)));
    }
    store::Batch batch;
    batch.expect_revision(keys::kPrincipals, keys::authorizer(name), found.revision);
    if (chosen) {
      batch.expect_revision(keys::kPrincipals, default_key, chosen->revision);
    } else {
      batch.expect_absent(keys::kPrincipals, default_key);
    }
    batch.put(keys::kPrincipals, default_key, name);
    return commit(store_, std::move(batch));
  };
  IOTCORE_TRY(until_no_conflict(attempt));
  api::SetDefaultAuthorizerResponse response;
  response.set_authorizer_name(name);
  response.set_authorizer_arn(options_.account.arn("authorizer", name));
  return response;
}

Result<api::DescribeDefaultAuthorizerResponse> Authorizers::describe_default(
    const api::DescribeDefaultAuthorizerRequest& /*request*/
) {
  IOTCORE_ASSIGN(const auto name, default_name());
  if (!name) {
    return fail(Errc::kNotFound, "This account has no default authorizer");
  }
  IOTCORE_ASSIGN(const record::Authorizer record, find(*name));
  api::DescribeDefaultAuthorizerResponse response;
  *response.mutable_authorizer_description() = description(*name, record);
  return response;
}

Result<api::ClearDefaultAuthorizerResponse> Authorizers::clear_default(
    const api::ClearDefaultAuthorizerRequest& /*request*/
) {
  const auto attempt = [&]() -> Status {
    IOTCORE_ASSIGN(const auto row, store_.get(keys::kPrincipals, keys::default_authorizer()));
    if (!row) {
      return fail(Errc::kNotFound, "This account has no default authorizer");
    }
    store::Batch batch;
    batch.expect_revision(keys::kPrincipals, keys::default_authorizer(), row->revision);
    batch.erase(keys::kPrincipals, keys::default_authorizer());
    return commit(store_, std::move(batch));
  };
  IOTCORE_TRY(until_no_conflict(attempt));
  return api::ClearDefaultAuthorizerResponse();
}

}  // namespace iotcore::registry
