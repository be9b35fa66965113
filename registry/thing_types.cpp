#include "registry/thing_types.h"

#include "base/crypto.h"
#include "registry/keys.h"
#include "registry/page.h"

namespace iotcore::registry {
namespace {

std::string absent(std::string_view type) {
  return "Thing type " + std::string(type) + " does not exist";
}

api::ThingTypeMetadata metadata_of(const record::ThingType& type) {
  api::ThingTypeMetadata metadata;
  metadata.set_deprecated(type.has_deprecated_ms());
  if (type.has_deprecated_ms()) {
    metadata.set_deprecation_date(type.deprecated_ms());
  }
  metadata.set_creation_date(type.created_ms());
  return metadata;
}

bool same_configuration(const record::ThingType& a, const record::ThingType& b) {
  record::ThingType left;
  *left.mutable_properties() = a.properties();
  *left.mutable_tags() = a.tags();
  record::ThingType right;
  *right.mutable_properties() = b.properties();
  *right.mutable_tags() = b.tags();
  // No maps inside: equal messages are equal bytes.
  return left.SerializeAsString() == right.SerializeAsString();
}

}  // namespace

Result<api::CreateThingTypeResponse> ThingTypes::create(const api::CreateThingTypeRequest& request
) {
  return until_no_conflict([&] { return try_create(request); });
}

Result<api::CreateThingTypeResponse> ThingTypes::try_create(
    const api::CreateThingTypeRequest& request
) {
  const std::string& name = request.thing_type_name();
  const std::size_t searchable =
      static_cast<std::size_t>(request.thing_type_properties().searchable_attributes_size());
  if (searchable > options_.limits.searchable_attributes_max) {
    return fail(
        Errc::kInvalidRequest,
        "A thing type can have at most " +
            std::to_string(options_.limits.searchable_attributes_max) +
            " searchable attributes, not " + std::to_string(searchable)
    );
  }
  record::ThingType type;
  type.set_id(new_uuid());
  *type.mutable_properties() = request.thing_type_properties();
  *type.mutable_tags() = request.tags();
  type.set_created_ms(to_epoch_ms(clock_.wall()));

  const auto key = keys::thing_type(name);
  const std::string arn = options_.account.arn("thingtype", name);
  IOTCORE_ASSIGN(const auto existing, find_record<record::ThingType>(store_, keys::kRegistry, key));
  if (existing && !same_configuration(existing->record, type)) {
    return fail(Error(
                    Errc::kAlreadyExists,
                    "Thing type " + name + " already exists with different properties"
    )
                    .with("resourceId", name)
                    .with("resourceArn", arn));
  }
  if (!existing) {
    store::Batch batch;
    batch.expect_absent(keys::kRegistry, key);
    batch.put(keys::kRegistry, key, to_row(type));
    IOTCORE_TRY(commit(store_, std::move(batch)));
  }
  api::CreateThingTypeResponse response;
  response.set_thing_type_name(name);
  response.set_thing_type_arn(arn);
  response.set_thing_type_id(existing ? existing->record.id() : type.id());
  return response;
}

Result<api::DescribeThingTypeResponse> ThingTypes::describe(
    const api::DescribeThingTypeRequest& request
) {
  const std::string& name = request.thing_type_name();
  IOTCORE_ASSIGN(
      const auto found,
      get_record<record::ThingType>(store_, keys::kRegistry, keys::thing_type(name), absent(name))
  );
  api::DescribeThingTypeResponse response;
  response.set_thing_type_name(name);
  response.set_thing_type_id(found.record.id());
  response.set_thing_type_arn(options_.account.arn("thingtype", name));
  *response.mutable_thing_type_properties() = found.record.properties();
  *response.mutable_thing_type_metadata() = metadata_of(found.record);
  return response;
}

Result<api::DeprecateThingTypeResponse> ThingTypes::deprecate(
    const api::DeprecateThingTypeRequest& request
) {
  IOTCORE_TRY(until_no_conflict([&] { return try_deprecate(request); }));
  return api::DeprecateThingTypeResponse();
}

Status ThingTypes::try_deprecate(const api::DeprecateThingTypeRequest& request) {
  const std::string& name = request.thing_type_name();
  const auto key = keys::thing_type(name);
  IOTCORE_ASSIGN(
      auto found, get_record<record::ThingType>(store_, keys::kRegistry, key, absent(name))
  );
  if (found.record.has_deprecated_ms() != request.undo_deprecate()) {
    return {};  // it is so already
  }
  if (request.undo_deprecate()) {
    found.record.clear_deprecated_ms();
  } else {
    found.record.set_deprecated_ms(to_epoch_ms(clock_.wall()));
  }
  store::Batch batch;
  batch.expect_revision(keys::kRegistry, key, found.revision);
  batch.put(keys::kRegistry, key, to_row(found.record));
  return commit(store_, std::move(batch));
}

Result<api::DeleteThingTypeResponse> ThingTypes::remove(const api::DeleteThingTypeRequest& request
) {
  IOTCORE_TRY(until_no_conflict([&] { return try_remove(request); }));
  return api::DeleteThingTypeResponse();
}

Status ThingTypes::try_remove(const api::DeleteThingTypeRequest& request) {
  const std::string& name = request.thing_type_name();
  const auto key = keys::thing_type(name);
  IOTCORE_ASSIGN(
      const auto found, get_record<record::ThingType>(store_, keys::kRegistry, key, absent(name))
  );
  if (!found.record.has_deprecated_ms()) {
    return fail(
        Errc::kInvalidRequest, "Thing type " + name + " must be deprecated before it is deleted"
    );
  }
  const std::int64_t deprecated_for_ms = to_epoch_ms(clock_.wall()) - found.record.deprecated_ms();
  if (deprecated_for_ms < options_.limits.type_deletion_wait.count()) {
    return fail(
        Errc::kInvalidRequest,
        "Thing type " + name + " must have been deprecated for " +
            std::to_string(options_.limits.type_deletion_wait.count() / 1000) +
            " seconds before it is deleted"
    );
  }
  IOTCORE_ASSIGN(const bool used, has_any(store_, keys::kRegistry, keys::things_of_type(name)));
  if (used) {
    return fail(
        Errc::kInvalidRequest, "Thing type " + name + " is still associated with one or more things"
    );
  }
  store::Batch batch;
  batch.expect_revision(keys::kRegistry, key, found.revision);
  batch.erase(keys::kRegistry, key);
  return commit(store_, std::move(batch));
}

Result<api::ListThingTypesResponse> ThingTypes::list(const api::ListThingTypesRequest& request) {
  const auto prefix = request.has_thing_type_name() ? keys::thing_type(request.thing_type_name())
                                                    : keys::thing_types();
  IOTCORE_ASSIGN(
      PageRequest page,
      PageRequest::make(
          keys::kRegistry,
          prefix,
          optional_text(request.has_next_token(), request.next_token()),
          optional_size(request.has_max_results(), request.max_results())
      )
  );
  PageReader reader(store_, std::move(page));
  IOTCORE_ASSIGN(const std::vector<store::Entry> rows, reader.page());
  api::ListThingTypesResponse response;
  for (const store::Entry& row : rows) {
    IOTCORE_ASSIGN(auto type, parse_record<record::ThingType>(row.value));
    const std::string name = segment_of(row.key, 0);
    auto& out = *response.add_thing_types();
    out.set_thing_type_name(name);
    out.set_thing_type_arn(options_.account.arn("thingtype", name));
    *out.mutable_thing_type_metadata() = metadata_of(type);
    out.mutable_thing_type_properties()->Swap(type.mutable_properties());
  }
  if (reader.token()) {
    response.set_next_token(*reader.token());
  }
  return response;
}

}  // namespace iotcore::registry
