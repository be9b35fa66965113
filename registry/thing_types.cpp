#include "registry/thing_types.h"

#include "base/crypto.h"
#include "registry/keys.h"
#include "registry/named_resource.h"
#include "registry/page.h"
#include "registry/tags.h"

#include <set>

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

bool same_properties(const api::ThingTypeProperties& a, const api::ThingTypeProperties& b) {
  // No maps inside: equal messages are equal bytes.
  return a.SerializeAsString() == b.SerializeAsString();
}

// "5 minutes": Terraform tries again when it reads that.
std::string in_words(std::chrono::milliseconds wait) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(wait).count();
  return seconds % 60 == 0 ? std::to_string(seconds / 60) + " minutes"
                           : std::to_string(seconds) + " seconds";
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
  IOTCORE_TRY(check_properties(request.thing_type_properties()));
  record::ThingType type;
  type.set_id(new_uuid());
  *type.mutable_properties() = request.thing_type_properties();
  type.set_created_ms(to_epoch_ms(clock_.wall()));

  const auto key = keys::thing_type(name);
  const std::string arn = options_.account.arn("thingtype", name);
  IOTCORE_ASSIGN(const auto existing, find_record<record::ThingType>(store_, keys::kRegistry, key));
  if (existing && !same_properties(existing->record.properties(), type.properties())) {
    return fail(already_exists(options_.account, "thingtype", "Thing type", name));
  }
  if (!existing) {
    Change change;
    change.batch.expect_absent(keys::kRegistry, key);
    change.batch.put(keys::kRegistry, key, to_row(type));
    IOTCORE_TRY(Tags::put(change.batch, "thingtype/" + name, request.tags()));
    add_event(change, name, type, "CREATED");
    IOTCORE_TRY(quota_.add([&] { return events_.commit(std::move(change)); }));
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

Status ThingTypes::check_properties(const api::ThingTypeProperties& properties) const {
  const std::size_t max = options_.limits.searchable_attributes_max;
  if (static_cast<std::size_t>(properties.searchable_attributes_size()) > max) {
    return fail(
        Errc::kInvalidRequest,
        "A thing type can have at most " + std::to_string(max) + " searchable attributes, not " +
            std::to_string(properties.searchable_attributes_size())
    );
  }
  std::set<std::string_view> user_properties;
  for (const auto& propagating : properties.mqtt5_configuration().propagating_attributes()) {
    if (propagating.user_property_key().empty() ||
        propagating.thing_attribute().empty() == propagating.connection_attribute().empty()) {
      return fail(
          Errc::kInvalidRequest,
          "A propagating attribute has a userPropertyKey and either a thingAttribute or a "
          "connectionAttribute"
      );
    }
    if (!user_properties.insert(propagating.user_property_key()).second) {
      return fail(
          Errc::kInvalidRequest,
          "The userPropertyKey " + propagating.user_property_key() + " is given twice"
      );
    }
  }
  return {};
}

void ThingTypes::add_event(
    Change& change,
    const std::string& name,
    const record::ThingType& type,
    std::string_view operation
) const {
  if (!events_.enabled(EventType::kThingType)) {
    return;
  }
  json::object event = events_.begin(EventType::kThingType, operation);
  event["thingTypeId"] = type.id();
  event["thingTypeName"] = name;
  event["isDeprecated"] = type.has_deprecated_ms();
  event["deprecationDate"] =
      type.has_deprecated_ms() ? json::value(type.deprecated_ms()) : json::value();
  json::array searchable;
  for (const std::string& attribute : type.properties().searchable_attributes()) {
    searchable.emplace_back(attribute);
  }
  event["searchableAttributes"] = std::move(searchable);
  json::array propagating;
  for (const auto& attribute : type.properties().mqtt5_configuration().propagating_attributes()) {
    json::object out{{"userPropertyKey", attribute.user_property_key()}};
    if (attribute.has_thing_attribute()) {
      out["thingAttribute"] = attribute.thing_attribute();
    }
    if (attribute.has_connection_attribute()) {
      out["connectionAttribute"] = attribute.connection_attribute();
    }
    propagating.push_back(std::move(out));
  }
  event["propagatingAttributes"] = std::move(propagating);
  event["description"] = type.properties().has_thing_type_description()
                             ? json::value(type.properties().thing_type_description())
                             : json::value();
  const std::string_view verb = operation == "CREATED"   ? "/created"
                                : operation == "UPDATED" ? "/updated"
                                                         : "/deleted";
  events_.add(change, "thingType/" + name + std::string(verb), event);
}

Result<api::UpdateThingTypeResponse> ThingTypes::update(const api::UpdateThingTypeRequest& request
) {
  IOTCORE_TRY(until_no_conflict([&] { return try_update(request); }));
  return api::UpdateThingTypeResponse();
}

Status ThingTypes::try_update(const api::UpdateThingTypeRequest& request) {
  const std::string& name = request.thing_type_name();
  const auto key = keys::thing_type(name);
  IOTCORE_ASSIGN(
      auto found, get_record<record::ThingType>(store_, keys::kRegistry, key, absent(name))
  );
  const api::ThingTypeProperties& given = request.thing_type_properties();
  api::ThingTypeProperties& properties = *found.record.mutable_properties();
  if (given.has_thing_type_description()) {
    properties.set_thing_type_description(given.thing_type_description());
  }
  if (given.searchable_attributes_size() > 0) {
    *properties.mutable_searchable_attributes() = given.searchable_attributes();
  }
  if (given.has_mqtt5_configuration()) {
    *properties.mutable_mqtt5_configuration() = given.mqtt5_configuration();
  }
  IOTCORE_TRY(check_properties(properties));
  Change change;
  change.batch.expect_revision(keys::kRegistry, key, found.revision);
  change.batch.put(keys::kRegistry, key, to_row(found.record));
  add_event(change, name, found.record, "UPDATED");
  return events_.commit(std::move(change));
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
  Change change;
  change.batch.expect_revision(keys::kRegistry, key, found.revision);
  change.batch.put(keys::kRegistry, key, to_row(found.record));
  add_event(change, name, found.record, "UPDATED");
  return events_.commit(std::move(change));
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
        "Thing type " + name + " cannot be deleted yet. Please wait for " +
            in_words(options_.limits.type_deletion_wait) + " after deprecation and then retry"
    );
  }
  IOTCORE_ASSIGN(const bool used, has_any(store_, keys::kRegistry, keys::things_of_type(name)));
  if (used) {
    return fail(
        Errc::kInvalidRequest, "Thing type " + name + " is still associated with one or more things"
    );
  }
  Change change;
  change.batch.expect_revision(keys::kRegistry, key, found.revision);
  change.batch.erase(keys::kRegistry, key);
  IOTCORE_TRY(Tags::erase(store_, change.batch, "thingtype/" + name));
  add_event(change, name, found.record, "DELETED");
  return quota_.remove([&] { return events_.commit(std::move(change)); });
}

Result<api::ListThingTypesResponse> ThingTypes::list(const api::ListThingTypesRequest& request) {
  // On AWS the name is the front of the names that are wanted.
  const auto prefix = keys::thing_types().rest(request.thing_type_name());
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
