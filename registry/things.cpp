#include "registry/things.h"

#include "base/crypto.h"
#include "registry/billing_groups.h"
#include "registry/keys.h"
#include "registry/page.h"
#include "registry/thing_attributes.h"

namespace iotcore::registry {
namespace {

// How many rows of an index one page may look at when a second filter drops most of them; the page
// is then short, with a token.
constexpr std::size_t kFilteredRowsMax = 2000;

std::string absent(std::string_view thing) {
  return "Thing " + std::string(thing) + " does not exist";
}

void set_attributes(record::Thing& thing, const Attributes& attributes) {
  thing.mutable_attributes()->clear();
  for (const auto& [name, value] : attributes) {
    (*thing.mutable_attributes())[name] = value;
  }
}

bool same_configuration(const record::Thing& a, const record::Thing& b) {
  return a.has_type() == b.has_type() && a.type() == b.type() &&
         a.billing_group().group() == b.billing_group().group() &&
         to_attributes(a.attributes()) == to_attributes(b.attributes());
}

}  // namespace

Result<api::CreateThingResponse> Things::create(const api::CreateThingRequest& request) {
  return until_no_conflict([&] { return try_create(request); });
}

Result<api::CreateThingResponse> Things::try_create(const api::CreateThingRequest& request) {
  const auto key = keys::thing(request.thing_name());
  record::Thing thing;
  thing.set_id(new_uuid());
  thing.set_version(1);
  thing.set_created_ms(to_epoch_ms(clock_.wall()));
  if (request.has_thing_type_name()) {
    thing.set_type(request.thing_type_name());
  }
  Change change;
  if (request.has_billing_group_name()) {
    IOTCORE_ASSIGN(
        *thing.mutable_billing_group(),
        join_billing_group(store_, change.batch, request.billing_group_name())
    );
  }
  set_attributes(
      thing, with_update({}, to_attributes(request.attribute_payload().attributes()), false)
  );
  IOTCORE_TRY(check_attribute_count(thing));

  const std::string arn = options_.account.arn("thing", request.thing_name());
  api::CreateThingResponse response;
  response.set_thing_name(request.thing_name());
  response.set_thing_arn(arn);
  IOTCORE_ASSIGN(const auto existing, find_record<record::Thing>(store_, keys::kRegistry, key));
  if (existing) {
    if (!same_configuration(existing->record, thing)) {
      return fail(Error(
                      Errc::kAlreadyExists,
                      "Thing " + request.thing_name() +
                          " already exists in account with different attributes"
      )
                      .with("resourceId", request.thing_name())
                      .with("resourceArn", arn));
    }
    response.set_thing_id(existing->record.id());
    return response;
  }
  change.batch.expect_absent(keys::kRegistry, key);
  if (thing.has_type()) {
    IOTCORE_TRY(expect_usable_type(change.batch, thing.type()));
  }
  IOTCORE_TRY(writer_.add(change, {request.thing_name(), nullptr, &thing}));
  IOTCORE_TRY(events_.commit(std::move(change)));
  response.set_thing_id(thing.id());
  return response;
}

api::DescribeThingResponse Things::describe(
    const std::string& name, record::Thing thing, bool is_billed
) const {
  api::DescribeThingResponse response;
  response.set_default_client_id(name);
  response.set_thing_name(name);
  response.set_thing_id(thing.id());
  response.set_thing_arn(options_.account.arn("thing", name));
  if (thing.has_type()) {
    response.set_thing_type_name(thing.type());
  }
  response.mutable_attributes()->swap(*thing.mutable_attributes());
  response.set_version(thing.version());
  if (is_billed) {
    response.set_billing_group_name(thing.billing_group().group());
  }
  return response;
}

Result<api::DescribeThingResponse> Things::describe(const api::DescribeThingRequest& request) {
  const std::string& name = request.thing_name();
  IOTCORE_ASSIGN(
      auto found,
      get_record<record::Thing>(store_, keys::kRegistry, keys::thing(name), absent(name))
  );
  IOTCORE_ASSIGN(const bool is_billed, is_in_billing_group(store_, found.record));
  return describe(name, std::move(found.record), is_billed);
}

std::optional<api::DescribeThingResponse> Things::describe_cached(
    const api::DescribeThingRequest& request
) {
  auto thing = find_cached<record::Thing>(
      store_, keys::kRegistry, keys::thing(request.thing_name())
  );
  if (!thing) {
    return std::nullopt;
  }
  bool is_billed = false;
  if (thing->has_billing_group()) {
    const auto group = find_cached<record::BillingGroup>(
        store_, keys::kRegistry, keys::billing_group(thing->billing_group().group())
    );
    if (!group) {
      return std::nullopt;
    }
    is_billed = is_of_billing_group(*thing, *group);
  }
  return describe(request.thing_name(), *std::move(thing), is_billed);
}

Result<api::UpdateThingResponse> Things::update(const api::UpdateThingRequest& request) {
  IOTCORE_TRY(until_no_conflict([&] { return try_update(request); }));
  return api::UpdateThingResponse();
}

Status Things::try_update(const api::UpdateThingRequest& request) {
  const std::string& name = request.thing_name();
  const auto key = keys::thing(name);
  if (request.remove_thing_type() && request.has_thing_type_name()) {
    return fail(Errc::kInvalidRequest, "thingTypeName and removeThingType exclude each other");
  }
  IOTCORE_ASSIGN(
      const auto before, get_record<record::Thing>(store_, keys::kRegistry, key, absent(name))
  );
  const record::Thing& old = before.record;
  if (request.has_expected_version() && request.expected_version() != old.version()) {
    return fail(
        Errc::kVersionConflict,
        "The expected version is " + std::to_string(request.expected_version()) + ", thing " +
            name + " is at version " + std::to_string(old.version())
    );
  }
  Change change;
  change.batch.expect_revision(keys::kRegistry, key, before.revision);
  record::Thing thing = old;
  thing.set_version(old.version() + 1);
  if (request.has_attribute_payload()) {
    const api::AttributePayload& payload = request.attribute_payload();
    set_attributes(
        thing,
        with_update(
            to_attributes(old.attributes()), to_attributes(payload.attributes()), payload.merge()
        )
    );
  }
  if (request.remove_thing_type()) {
    thing.clear_type();
  }
  if (request.has_thing_type_name()) {
    thing.set_type(request.thing_type_name());
    IOTCORE_TRY(expect_usable_type(change.batch, thing.type()));
  }
  IOTCORE_TRY(check_attribute_count(thing));
  IOTCORE_TRY(writer_.add(change, {name, &old, &thing}));
  return events_.commit(std::move(change));
}

Result<api::DeleteThingResponse> Things::remove(const api::DeleteThingRequest& request) {
  IOTCORE_TRY(until_no_conflict([&] { return try_remove(request); }));
  return api::DeleteThingResponse();
}

Status Things::try_remove(const api::DeleteThingRequest& request) {
  const std::string& name = request.thing_name();
  const auto key = keys::thing(name);
  IOTCORE_ASSIGN(const auto found, find_record<record::Thing>(store_, keys::kRegistry, key));
  if (!found) {
    return {};
  }
  if (request.has_expected_version() && request.expected_version() != found->record.version()) {
    return fail(
        Errc::kVersionConflict,
        "The expected version is " + std::to_string(request.expected_version()) + ", thing " +
            name + " is at version " + std::to_string(found->record.version())
    );
  }
  IOTCORE_ASSIGN(
      const bool attached, has_any(store_, keys::kRegistry, keys::principals_of_thing(name))
  );
  if (attached) {
    return fail(
        Errc::kInvalidRequest,
        "Cannot delete. Thing " + name + " is still attached to one or more principals"
    );
  }
  Change change;
  change.batch.expect_revision(keys::kRegistry, key, found->revision);
  IOTCORE_TRY(writer_.add(change, {name, &found->record, nullptr}));
  return events_.commit(std::move(change));
}

Result<api::ListThingsResponse> Things::list(const api::ListThingsRequest& request) {
  if (request.has_attribute_value() && !request.has_attribute_name()) {
    return fail(Errc::kInvalidRequest, "attributeValue needs an attributeName");
  }
  if (request.use_prefix_attribute_value() && !request.has_attribute_value()) {
    return fail(Errc::kInvalidRequest, "usePrefixAttributeValue needs an attributeValue");
  }
  const bool filtered = request.has_attribute_name() || request.has_thing_type_name();
  return filtered ? list_by_index(request) : list_all(request);
}

namespace {

void add_to_page(
    api::ListThingsResponse& response,
    const Account& account,
    std::string_view name,
    record::Thing& thing
) {
  auto& out = *response.add_things();
  out.set_thing_name(std::string(name));
  if (thing.has_type()) {
    out.set_thing_type_name(thing.type());
  }
  out.set_thing_arn(account.arn("thing", name));
  out.mutable_attributes()->swap(*thing.mutable_attributes());
  out.set_version(thing.version());
}

Result<PageRequest> page_of(const api::ListThingsRequest& request, std::string_view prefix) {
  return PageRequest::make(
      keys::kRegistry,
      prefix,
      optional_text(request.has_next_token(), request.next_token()),
      optional_size(request.has_max_results(), request.max_results())
  );
}

}  // namespace

Result<api::ListThingsResponse> Things::list_all(const api::ListThingsRequest& request) {
  IOTCORE_ASSIGN(PageRequest page, page_of(request, keys::things()));
  PageReader reader(store_, std::move(page));
  IOTCORE_ASSIGN(const std::vector<store::Entry> rows, reader.page());
  api::ListThingsResponse response;
  for (const store::Entry& row : rows) {
    IOTCORE_ASSIGN(auto thing, parse_record<record::Thing>(row.value));
    add_to_page(response, options_.account, segment_of(row.key, 0), thing);
  }
  if (reader.token()) {
    response.set_next_token(*reader.token());
  }
  return response;
}

Result<api::ListThingsResponse> Things::list_by_index(const api::ListThingsRequest& request) {
  const bool by_attribute = request.has_attribute_name();
  const std::string& attribute = request.attribute_name();
  const std::string& value = request.attribute_value();
  const auto index = !by_attribute ? keys::things_of_type(request.thing_type_name())
                     : !request.has_attribute_value() ? keys::things_with_attribute(attribute)
                     : request.use_prefix_attribute_value()
                         ? keys::things_with_value_prefix(attribute, value)
                         : keys::things_with_value(attribute, value);
  IOTCORE_ASSIGN(PageRequest page, page_of(request, index));
  const std::size_t wanted = page.size();
  PageReader reader(store_, std::move(page));
  api::ListThingsResponse response;
  std::size_t looked_at = 0;
  do {
    // Never more rows than still fit: the token stands behind the last row looked at.
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> rows,
        reader.next(wanted - static_cast<std::size_t>(response.things_size()))
    );
    looked_at += rows.size();
    std::vector<std::string> names;
    std::vector<std::string> thing_keys;
    for (const store::Entry& row : rows) {
      names.push_back(segment_of(row.key, by_attribute ? 2 : 1));
      thing_keys.push_back(keys::thing(names.back()).take());
    }
    IOTCORE_ASSIGN(auto things, store_.multi_get(keys::kRegistry, thing_keys));
    for (std::size_t i = 0; i < things.size(); ++i) {
      if (!things[i]) {
        continue;  // deleted since the index was read
      }
      IOTCORE_ASSIGN(auto thing, parse_record<record::Thing>(things[i]->value));
      if (!request.has_thing_type_name() || thing.type() == request.thing_type_name()) {
        add_to_page(response, options_.account, names[i], thing);
      }
    }
  } while (reader.token() && static_cast<std::size_t>(response.things_size()) < wanted &&
           looked_at < kFilteredRowsMax);
  if (reader.token()) {
    response.set_next_token(*reader.token());
  }
  return response;
}

Status Things::expect_usable_type(store::Batch& batch, std::string_view type) {
  const auto key = keys::thing_type(type);
  IOTCORE_ASSIGN(
      const auto found,
      get_record<record::ThingType>(
          store_, keys::kRegistry, key, "Thing type " + std::string(type) + " does not exist"
      )
  );
  if (found.record.has_deprecated_ms()) {
    return fail(Errc::kInvalidRequest, "Thing type " + std::string(type) + " is deprecated");
  }
  batch.expect_revision(keys::kRegistry, key, found.revision);
  return {};
}

Status Things::check_attribute_count(const record::Thing& thing) const {
  const std::size_t max = thing.has_type() ? options_.limits.attributes_typed_max
                                           : options_.limits.attributes_untyped_max;
  if (thing.attributes().size() > max) {
    return fail(
        Errc::kInvalidRequest,
        "A thing " + std::string(thing.has_type() ? "with" : "without") +
            " a thing type can have at most " + std::to_string(max) + " attributes, not " +
            std::to_string(thing.attributes().size())
    );
  }
  return {};
}

}  // namespace iotcore::registry
