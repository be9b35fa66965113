#include "registry/provisioning_templates.h"

#include "registry/arn.h"
#include "registry/authorizer_function.h"
#include "registry/keys.h"
#include "registry/list_token.h"
#include "registry/named_resource.h"
#include "registry/page.h"
#include "registry/provisioning/template.h"
#include "registry/tags.h"

#include <algorithm>
#include <charconv>

namespace iotcore::registry {
namespace {

using Record = record::ProvisioningTemplate;

constexpr int kPageDefault = 5;  // of versions
constexpr std::string_view kKind = "provisioningtemplate";
constexpr std::string_view kFleet = "FLEET_PROVISIONING";
constexpr std::string_view kJustInTime = "JITP";
constexpr const char* kPayloadVersion = "2020-04-01";

std::string absent(std::string_view name) {
  return "Provisioning template " + std::string(name) + " does not exist";
}

tl::unexpected<Error> no_version(std::string_view name, std::int32_t id) {
  return fail(
      Errc::kNotFound,
      "Provisioning template " + std::string(name) + " has no version " + std::to_string(id)
  );
}

Status check_role(std::string_view arn) {
  return is_role_arn(arn)
             ? Status()
             : fail(
                   Errc::kInvalidRequest,
                   "provisioningRoleArn must be a role: arn:aws:iam::ACCOUNT:role/NAME"
               );
}

// Up to 500 characters, none of them a control character.
Status check_description(std::string_view text) {
  std::size_t characters = 0;
  char before = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    characters += std::size_t{(byte & 0xC0U) != 0x80U};
    const bool control = byte < 0x20U || byte == 0x7FU || (before == '\xC2' && byte < 0xA0U);
    if (control || characters > 500) {
      return fail(
          Errc::kInvalidRequest,
          "description takes at most 500 characters, and no control characters"
      );
    }
    before = c;
  }
  return {};
}

Status check_payload_version(std::string_view text) {
  const bool right =
      text.size() >= 10 && text.size() <= 32 && text.find_first_not_of("0123456789-") == text.npos;
  return right ? Status()
               : fail(
                     Errc::kInvalidRequest,
                     "payloadVersion is 10 to 32 digits and hyphens, as in 2020-04-01"
                 );
}

const Record::Version* find_version(const Record& record, std::int32_t id) {
  const auto& versions = record.versions();
  const auto found = std::find_if(versions.begin(), versions.end(), [id](const auto& version) {
    return version.id() == id;
  });
  return found == versions.end() ? nullptr : &*found;
}

Status check_body(std::string_view type, const std::string& body) {
  IOTCORE_ASSIGN(const auto parsed, provisioning::Template::parse(body));
  return parsed.check_for(
      type == kJustInTime ? provisioning::Purpose::kJustInTime : provisioning::Purpose::kFleet
  );
}

void add_version(Record& record, const std::string& body, std::int64_t now_ms) {
  record.set_last_version_id(record.last_version_id() + 1);
  Record::Version& version = *record.add_versions();
  version.set_id(record.last_version_id());
  version.set_body(body);
  version.set_created_ms(now_ms);
}

Status set_hook(const net::HttpRules& http, Record& record, const api::ProvisioningHook& hook) {
  if (record.type() == kJustInTime) {
    return fail(
        Errc::kInvalidRequest,
        "preProvisioningHook is for templates of type FLEET_PROVISIONING, not JITP"
    );
  }
  if (hook.has_payload_version()) {
    IOTCORE_TRY(check_payload_version(hook.payload_version()));
  }
  IOTCORE_TRY(check_function_url(http, hook.target_arn()));
  record.set_hook_target_arn(hook.target_arn());
  record.set_hook_payload_version(
      hook.has_payload_version() ? hook.payload_version() : kPayloadVersion
  );
  return {};
}

}  // namespace

Result<Stored<Record>> ProvisioningTemplates::read(const std::string& name) {
  return get_record<Record>(
      store_, keys::kPrincipals, keys::provisioning_template(name), absent(name)
  );
}

template <typename Change>
Status ProvisioningTemplates::change(const std::string& name, Change&& change) {
  return until_no_conflict([&]() -> Status {
    IOTCORE_ASSIGN(auto found, read(name));
    IOTCORE_TRY(change(found.record));
    found.record.set_modified_ms(to_epoch_ms(clock_.wall()));
    const auto key = keys::provisioning_template(name);
    store::Batch batch;
    batch.expect_revision(keys::kPrincipals, key, found.revision);
    batch.put(keys::kPrincipals, key, to_row(found.record));
    return commit(store_, std::move(batch));
  });
}

Result<api::CreateProvisioningTemplateResponse> ProvisioningTemplates::create(
    const api::CreateProvisioningTemplateRequest& request
) {
  const std::string& name = request.template_name();
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  Record record;
  record.set_type(request.has_type() ? request.type() : std::string(kFleet));
  if (record.type() != kFleet && record.type() != kJustInTime) {
    return fail(Errc::kInvalidRequest, "type is FLEET_PROVISIONING or JITP");
  }
  IOTCORE_TRY(check_body(record.type(), request.template_body()));
  add_version(record, request.template_body(), now_ms);
  record.set_default_version_id(record.last_version_id());
  record.set_created_ms(now_ms);
  record.set_modified_ms(now_ms);
  if (request.has_description()) {
    IOTCORE_TRY(check_description(request.description()));
    record.set_description(request.description());
  }
  record.set_enabled(request.enabled());
  IOTCORE_TRY(check_role(request.provisioning_role_arn()));
  record.set_role_arn(request.provisioning_role_arn());
  if (request.has_pre_provisioning_hook()) {
    IOTCORE_TRY(set_hook(options_.http, record, request.pre_provisioning_hook()));
  }
  const std::string arn = options_.account.arn(kKind, name);
  store::Batch batch;
  batch.expect_absent(keys::kPrincipals, keys::provisioning_template(name));
  batch.put(keys::kPrincipals, keys::provisioning_template(name), to_row(record));
  IOTCORE_TRY(Tags::put(batch, std::string(kKind) + "/" + name, request.tags()));
  const auto create = [&] {
    return commit_new(
        store_,
        std::move(batch),
        Error(Errc::kAlreadyExists, "Provisioning template " + name + " already exists")
            .with("resourceId", name)
            .with("resourceArn", arn)
    );
  };
  IOTCORE_TRY(quota_.add(create));
  api::CreateProvisioningTemplateResponse response;
  response.set_template_arn(arn);
  response.set_template_name(name);
  response.set_default_version_id(record.default_version_id());
  return response;
}

Result<api::DescribeProvisioningTemplateResponse> ProvisioningTemplates::describe(
    const api::DescribeProvisioningTemplateRequest& request
) {
  const std::string& name = request.template_name();
  IOTCORE_ASSIGN(const auto found, read(name));
  const Record& record = found.record;
  const Record::Version* version = find_version(record, record.default_version_id());
  if (version == nullptr) {
    return fail(Errc::kStoreCorrupt, "Provisioning template " + name + " has no default version");
  }
  api::DescribeProvisioningTemplateResponse response;
  response.set_template_arn(options_.account.arn(kKind, name));
  response.set_template_name(name);
  if (record.has_description()) {
    response.set_description(record.description());
  }
  response.set_creation_date(record.created_ms());
  response.set_last_modified_date(record.modified_ms());
  response.set_default_version_id(version->id());
  response.set_template_body(version->body());
  response.set_enabled(record.enabled());
  response.set_provisioning_role_arn(record.role_arn());
  if (record.has_hook_target_arn()) {
    response.mutable_pre_provisioning_hook()->set_payload_version(record.hook_payload_version());
    response.mutable_pre_provisioning_hook()->set_target_arn(record.hook_target_arn());
  }
  response.set_type(record.type());
  return response;
}

Result<api::UpdateProvisioningTemplateResponse> ProvisioningTemplates::update(
    const api::UpdateProvisioningTemplateRequest& request
) {
  const std::string& name = request.template_name();
  if (request.remove_pre_provisioning_hook() && request.has_pre_provisioning_hook()) {
    return fail(
        Errc::kInvalidRequest, "removePreProvisioningHook does not go with a preProvisioningHook"
    );
  }
  if (request.has_description()) {
    IOTCORE_TRY(check_description(request.description()));
  }
  if (request.has_provisioning_role_arn()) {
    IOTCORE_TRY(check_role(request.provisioning_role_arn()));
  }
  const auto take = [&](Record& record) -> Status {
    if (request.has_description()) {
      record.set_description(request.description());
    }
    if (request.has_enabled()) {
      record.set_enabled(request.enabled());
    }
    if (request.has_default_version_id()) {
      if (find_version(record, request.default_version_id()) == nullptr) {
        return no_version(name, request.default_version_id());
      }
      record.set_default_version_id(request.default_version_id());
    }
    if (request.has_provisioning_role_arn()) {
      record.set_role_arn(request.provisioning_role_arn());
    }
    if (request.has_pre_provisioning_hook()) {
      IOTCORE_TRY(set_hook(options_.http, record, request.pre_provisioning_hook()));
    }
    if (request.remove_pre_provisioning_hook()) {
      record.clear_hook_target_arn();
      record.clear_hook_payload_version();
    }
    return {};
  };
  IOTCORE_TRY(change(name, take));
  return api::UpdateProvisioningTemplateResponse();
}

Result<api::DeleteProvisioningTemplateResponse> ProvisioningTemplates::remove(
    const api::DeleteProvisioningTemplateRequest& request
) {
  const std::string& name = request.template_name();
  const auto key = keys::provisioning_template(name);
  const auto attempt = [&]() -> Status {
    IOTCORE_ASSIGN(const auto found, read(name));
    IOTCORE_ASSIGN(
        const bool named, has_any(store_, keys::kPrincipals, keys::cas_of_template(name))
    );
    if (named) {
      return fail(
          Errc::kDeleteConflict,
          "Provisioning template " + name + " cannot be deleted while CA certificates name it"
      );
    }
    store::Batch batch;
    batch.expect_revision(keys::kPrincipals, key, found.revision);
    batch.erase(keys::kPrincipals, key);
    IOTCORE_TRY(Tags::erase(store_, batch, std::string(kKind) + "/" + name));
    return quota_.remove([&] { return commit(store_, std::move(batch)); });
  };
  IOTCORE_TRY(until_no_conflict(attempt));
  return api::DeleteProvisioningTemplateResponse();
}

Result<api::ListProvisioningTemplatesResponse> ProvisioningTemplates::list(
    const api::ListProvisioningTemplatesRequest& request
) {
  api::ListProvisioningTemplatesResponse response;
  IOTCORE_TRY(read_page(
      store_,
      keys::kPrincipals,
      keys::provisioning_templates(),
      request,
      response,
      [&](const store::Entry& row) -> Status {
        IOTCORE_ASSIGN(const Record record, parse_record<Record>(row.value));
        const std::string name = segment_of(row.key, 0);
        auto& out = *response.add_templates();
        out.set_template_arn(options_.account.arn(kKind, name));
        out.set_template_name(name);
        if (record.has_description()) {
          out.set_description(record.description());
        }
        out.set_creation_date(record.created_ms());
        out.set_last_modified_date(record.modified_ms());
        out.set_enabled(record.enabled());
        out.set_type(record.type());
        return {};
      }
  ));
  return response;
}

Result<api::CreateProvisioningTemplateVersionResponse> ProvisioningTemplates::create_version(
    const api::CreateProvisioningTemplateVersionRequest& request
) {
  const std::string& name = request.template_name();
  std::int32_t id = 0;
  const auto add = [&](Record& record) -> Status {
    IOTCORE_TRY(check_body(record.type(), request.template_body()));
    const std::size_t max = options_.limits.template_versions_max;
    if (static_cast<std::size_t>(record.versions_size()) >= max) {
      return fail(
          Errc::kVersionsLimitExceeded,
          "Provisioning template " + name + " already has the maximum number of versions (" +
              std::to_string(max) + ")"
      );
    }
    add_version(record, request.template_body(), to_epoch_ms(clock_.wall()));
    id = record.last_version_id();
    if (request.set_as_default()) {
      record.set_default_version_id(id);
    }
    return {};
  };
  IOTCORE_TRY(change(name, add));
  api::CreateProvisioningTemplateVersionResponse response;
  response.set_template_arn(options_.account.arn(kKind, name));
  response.set_template_name(name);
  response.set_version_id(id);
  response.set_is_default_version(request.set_as_default());
  return response;
}

Result<api::DescribeProvisioningTemplateVersionResponse> ProvisioningTemplates::describe_version(
    const api::DescribeProvisioningTemplateVersionRequest& request
) {
  IOTCORE_ASSIGN(const auto found, read(request.template_name()));
  const Record::Version* version = find_version(found.record, request.version_id());
  if (version == nullptr) {
    return no_version(request.template_name(), request.version_id());
  }
  api::DescribeProvisioningTemplateVersionResponse response;
  response.set_version_id(version->id());
  response.set_creation_date(version->created_ms());
  response.set_template_body(version->body());
  response.set_is_default_version(version->id() == found.record.default_version_id());
  return response;
}

Result<api::DeleteProvisioningTemplateVersionResponse> ProvisioningTemplates::remove_version(
    const api::DeleteProvisioningTemplateVersionRequest& request
) {
  const std::string& name = request.template_name();
  IOTCORE_TRY(change(name, [&](Record& record) -> Status {
    const Record::Version* version = find_version(record, request.version_id());
    if (version == nullptr) {
      return no_version(name, request.version_id());
    }
    if (version->id() == record.default_version_id()) {
      return fail(
          Errc::kDeleteConflict, "The default version of a provisioning template cannot be deleted"
      );
    }
    auto& versions = *record.mutable_versions();
    versions.erase(std::find_if(versions.begin(), versions.end(), [version](const auto& one) {
      return &one == version;
    }));
    return {};
  }));
  return api::DeleteProvisioningTemplateVersionResponse();
}

Result<api::ListProvisioningTemplateVersionsResponse> ProvisioningTemplates::list_versions(
    const api::ListProvisioningTemplateVersionsRequest& request
) {
  IOTCORE_ASSIGN(const auto found, read(request.template_name()));
  const Record& record = found.record;
  std::int32_t below = record.last_version_id() + 1;
  if (request.has_next_token()) {
    IOTCORE_ASSIGN(const std::string last, name_in_token("version", request.next_token()));
    const auto [end, error] = std::from_chars(last.data(), last.data() + last.size(), below);
    if (error != std::errc() || end != last.data() + last.size()) {
      return fail(Errc::kInvalidRequest, "Invalid pagination token");
    }
  }
  const int max = request.has_max_results() ? request.max_results() : kPageDefault;
  api::ListProvisioningTemplateVersionsResponse response;
  for (int i = record.versions_size() - 1; i >= 0; --i) {
    const Record::Version& version = record.versions(i);
    if (version.id() >= below) {
      continue;
    }
    if (response.versions_size() >= max) {
      const std::int32_t last = response.versions(response.versions_size() - 1).version_id();
      response.set_next_token(list_token("version", std::to_string(last)));
      break;
    }
    auto& out = *response.add_versions();
    out.set_version_id(version.id());
    out.set_creation_date(version.created_ms());
    out.set_is_default_version(version.id() == record.default_version_id());
  }
  return response;
}

Result<std::string> ProvisioningTemplates::body_in_use(const std::string& name) {
  IOTCORE_ASSIGN(const auto found, read(name));
  if (!found.record.enabled()) {
    return fail(Errc::kInvalidRequest, "Provisioning template " + name + " is not enabled");
  }
  const auto* version = find_version(found.record, found.record.default_version_id());
  if (version == nullptr) {
    return fail(Errc::kStoreCorrupt, "Provisioning template " + name + " has no default version");
  }
  return version->body();
}

Status name_template(
    store::Store& store, store::Batch& batch, const std::string& name, const std::string& ca
) {
  const auto key = keys::provisioning_template(name);
  IOTCORE_ASSIGN(const auto found, get_record<Record>(store, keys::kPrincipals, key, absent(name)));
  if (found.record.type() != kJustInTime) {
    return fail(
        Errc::kInvalidRequest,
        "Provisioning template " + name + " is of type " + found.record.type() +
            ": CA certificates take templates of type JITP"
    );
  }
  batch.expect_revision(keys::kPrincipals, key, found.revision);
  batch.put(keys::kPrincipals, key, to_row(found.record));
  batch.put(keys::kPrincipals, keys::cas_of_template(name).text(ca), {});
  return {};
}

void unname_template(store::Batch& batch, const std::string& name, const std::string& ca) {
  batch.erase(keys::kPrincipals, keys::cas_of_template(name).text(ca));
}

}  // namespace iotcore::registry
