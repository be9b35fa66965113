#include "registry/tags.h"

#include "registry/keys.h"
#include "registry/page.h"

#include <set>

namespace iotcore::registry {
namespace {

constexpr std::size_t kTagsMax = 50;
constexpr std::string_view kReserved = "aws:";

Status check_keys(const Tags::List& tags) {
  std::set<std::string_view> keys;
  for (const api::Tag& tag : tags) {
    if (std::string_view(tag.key()).starts_with(kReserved)) {
      return fail(Errc::kInvalidRequest, "Tag keys that begin with aws: are reserved");
    }
    if (!keys.insert(tag.key()).second) {
      return fail(Errc::kInvalidRequest, "The tag key " + tag.key() + " is given twice");
    }
  }
  return {};
}

Status check_count(std::size_t count) {
  if (count > kTagsMax) {
    return fail(
        Errc::kLimitExceeded,
        "A resource can have at most " + std::to_string(kTagsMax) + " tags, not " +
            std::to_string(count)
    );
  }
  return {};
}

Tags::Kind in_registry(store::Key (*key)(std::string_view)) {
  return {keys::kRegistry, [key](std::string_view name) { return key(name).take(); }};
}

Tags::Kind in_principals(store::Key (*key)(std::string_view)) {
  return {keys::kPrincipals, [key](std::string_view name) { return key(name).take(); }};
}

}  // namespace

Tags::Tags(store::Store& store, const Options& options) : store_(store), options_(options) {
  add_kind("thingtype", in_registry(&keys::thing_type));
  add_kind("thinggroup", in_registry(&keys::thing_group));
  add_kind("billinggroup", in_registry(&keys::billing_group));
  add_kind("policy", in_principals(&keys::policy));
  add_kind("cacert", in_principals(&keys::ca_certificate));
  add_kind("authorizer", in_principals(&keys::authorizer));
  add_kind("rolealias", in_principals(&keys::role_alias));
  add_kind("provisioningtemplate", in_principals(&keys::provisioning_template));
  // Its ARN ends with a number of its own behind the name.
  add_kind(
      "domainconfiguration",
      {keys::kPrincipals,
       [](std::string_view name) {
         return keys::domain_configuration(name.substr(0, name.find('/'))).take();
       }}
  );
}

Status Tags::put(store::Batch& batch, std::string_view resource, const List& tags) {
  IOTCORE_TRY(check_keys(tags));
  for (const api::Tag& tag : tags) {
    batch.put(keys::kRegistry, keys::tags_of(resource).text(tag.key()), tag.value());
  }
  return {};
}

Status Tags::erase(store::Store& store, store::Batch& batch, std::string_view resource) {
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows,
      store.scan(keys::kRegistry, keys::tags_of(resource), {}, kTagsMax)
  );
  for (const store::Entry& row : rows) {
    batch.erase(keys::kRegistry, row.key);
  }
  return {};
}

Result<Tags::Resource> Tags::resource_of(std::string_view arn) const {
  const std::string prefix = options_.account.arn_prefix();
  const std::size_t slash = arn.find('/', prefix.size());
  if (!arn.starts_with(prefix) || slash == std::string_view::npos) {
    return fail(
        Errc::kInvalidRequest, "Not an ARN of this account: expected " + prefix + "KIND/NAME"
    );
  }
  const auto home = kinds_.find(arn.substr(prefix.size(), slash - prefix.size()));
  if (home == kinds_.end()) {
    return fail(
        Errc::kInvalidRequest, "Resources of the ARN " + std::string(arn) + " have no tags"
    );
  }
  return Resource{std::string(arn.substr(prefix.size())), arn.substr(slash + 1), &home->second};
}

Status Tags::expect(store::Batch& batch, const Resource& resource, const Kind& kind) {
  const std::string key = kind.key(resource.name);
  IOTCORE_ASSIGN(const auto row, store_.get(kind.table, key));
  if (!row) {
    return fail(
        Errc::kNotFound,
        "Resource " + options_.account.arn_prefix() + resource.path + " does not exist"
    );
  }
  batch.expect_revision(kind.table, key, row->revision);
  return {};
}

Result<api::TagResourceResponse> Tags::tag(const api::TagResourceRequest& request) {
  IOTCORE_TRY(check_keys(request.tags()));
  IOTCORE_ASSIGN(const Resource resource, resource_of(request.resource_arn()));
  if (const auto* keeper = std::get_if<Keeper>(resource.home)) {
    IOTCORE_TRY(keeper->change(resource.name, [&request](ByKey& tags) {
      for (const api::Tag& tag : request.tags()) {
        tags.insert_or_assign(tag.key(), tag.value());
      }
      return check_count(tags.size());
    }));
    return api::TagResourceResponse();
  }
  const Kind& kind = std::get<Kind>(*resource.home);
  IOTCORE_TRY(until_no_conflict([&] { return try_tag(resource, kind, request.tags()); }));
  return api::TagResourceResponse();
}

Status Tags::try_tag(const Resource& resource, const Kind& kind, const List& tags) {
  store::Batch batch;
  IOTCORE_TRY(expect(batch, resource, kind));
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows,
      store_.scan(keys::kRegistry, keys::tags_of(resource.path), {}, kTagsMax + 1)
  );
  std::set<std::string> names;
  for (const store::Entry& row : rows) {
    names.insert(segment_of(row.key, 1));
  }
  for (const api::Tag& tag : tags) {
    names.insert(tag.key());
  }
  IOTCORE_TRY(check_count(names.size()));
  IOTCORE_TRY(put(batch, resource.path, tags));
  return commit(store_, std::move(batch));
}

Result<api::UntagResourceResponse> Tags::untag(const api::UntagResourceRequest& request) {
  IOTCORE_ASSIGN(const Resource resource, resource_of(request.resource_arn()));
  if (const auto* keeper = std::get_if<Keeper>(resource.home)) {
    IOTCORE_TRY(keeper->change(resource.name, [&request](ByKey& tags) {
      for (const std::string& key : request.tag_keys()) {
        tags.erase(key);
      }
      return Status();
    }));
    return api::UntagResourceResponse();
  }
  const Kind& kind = std::get<Kind>(*resource.home);
  IOTCORE_TRY(until_no_conflict([&] { return try_untag(resource, kind, request.tag_keys()); }));
  return api::UntagResourceResponse();
}

Status Tags::try_untag(
    const Resource& resource,
    const Kind& kind,
    const google::protobuf::RepeatedPtrField<std::string>& tag_keys
) {
  store::Batch batch;
  IOTCORE_TRY(expect(batch, resource, kind));
  for (const std::string& key : tag_keys) {
    batch.erase(keys::kRegistry, keys::tags_of(resource.path).text(key));
  }
  return commit(store_, std::move(batch));
}

Result<api::ListTagsForResourceResponse> Tags::list(const api::ListTagsForResourceRequest& request
) {
  IOTCORE_ASSIGN(const Resource resource, resource_of(request.resource_arn()));
  const auto* keeper = std::get_if<Keeper>(resource.home);
  if (keeper == nullptr) {
    return page_of(resource, std::get<Kind>(*resource.home), request);
  }
  if (request.has_next_token()) {
    // They are one page: none was given out.
    return fail(Errc::kInvalidRequest, "Invalid pagination token");
  }
  IOTCORE_ASSIGN(const ByKey tags, keeper->read(resource.name));
  api::ListTagsForResourceResponse response;
  for (const auto& [key, value] : tags) {
    auto& tag = *response.add_tags();
    tag.set_key(key);
    tag.set_value(value);
  }
  return response;
}

Result<api::ListTagsForResourceResponse> Tags::page_of(
    const Resource& resource, const Kind& kind, const api::ListTagsForResourceRequest& request
) {
  // A batch that goes nowhere.
  store::Batch batch;
  IOTCORE_TRY(expect(batch, resource, kind));
  IOTCORE_ASSIGN(
      PageRequest page,
      PageRequest::make(
          keys::kRegistry,
          keys::tags_of(resource.path),
          optional_text(request.has_next_token(), request.next_token()),
          std::nullopt
      )
  );
  PageReader reader(store_, std::move(page));
  IOTCORE_ASSIGN(const std::vector<store::Entry> rows, reader.page());
  api::ListTagsForResourceResponse response;
  for (const store::Entry& row : rows) {
    auto& tag = *response.add_tags();
    tag.set_key(segment_of(row.key, 1));
    tag.set_value(row.value);
  }
  if (reader.token()) {
    response.set_next_token(*reader.token());
  }
  return response;
}

}  // namespace iotcore::registry
