#include "registry/thing_principals.h"

#include "registry/keys.h"
#include "registry/page.h"
#include "registry/principal_rows.h"

namespace iotcore::registry {
namespace {

constexpr std::string_view kExclusive = "EXCLUSIVE_THING";
constexpr std::string_view kNotExclusive = "NON_EXCLUSIVE_THING";

Status touch_thing(store::Store& store, store::Batch& batch, std::string_view name) {
  return touch_row(
      store,
      batch,
      keys::kRegistry,
      keys::thing(name),
      "Thing " + std::string(name) + " does not exist"
  );
}

Status check_kind(const Principal& principal) {
  if (!principal.is_device()) {
    return fail(
        Errc::kInvalidRequest, "Only certificates and Cognito identities are principals of things"
    );
  }
  return {};
}

}  // namespace

Result<api::AttachThingPrincipalResponse> ThingPrincipals::attach(
    const api::AttachThingPrincipalRequest& request
) {
  IOTCORE_TRY(until_no_conflict([&] { return try_attach(request); }));
  return api::AttachThingPrincipalResponse();
}

Status ThingPrincipals::try_attach(const api::AttachThingPrincipalRequest& request) {
  IOTCORE_ASSIGN(const Principal principal, parse_principal(options_.account, request.principal()));
  IOTCORE_TRY(check_kind(principal));
  const std::string& thing = request.thing_name();
  const bool exclusive = request.thing_principal_type() == kExclusive;
  store::Batch batch;
  IOTCORE_TRY(touch_thing(store_, batch, thing));
  IOTCORE_TRY(touch_principal(store_, batch, principal));
  IOTCORE_TRY(check_exclusive(thing, principal, exclusive));
  record::ThingPrincipal link;
  link.set_exclusive(exclusive);
  link.set_attached_ms(to_epoch_ms(clock_.wall()));
  const std::string row = to_row(link);
  batch.put(keys::kRegistry, keys::principals_of_thing(thing).text(principal.resource), row);
  batch.put(keys::kRegistry, keys::things_of_principal(principal.resource).text(thing), row);
  return commit(store_, std::move(batch));
}

Result<std::optional<record::ThingPrincipal>> ThingPrincipals::find(
    std::string_view thing, std::string_view principal
) {
  IOTCORE_ASSIGN(const Principal parsed, parse_principal(options_.account, principal));
  IOTCORE_ASSIGN(
      auto found,
      find_record<record::ThingPrincipal>(
          store_, keys::kRegistry, keys::principals_of_thing(thing).text(parsed.resource)
      )
  );
  return found ? std::optional(std::move(found->record)) : std::nullopt;
}

// An exclusive attachment is the only one of its principal.
Status ThingPrincipals::check_exclusive(
    std::string_view thing, const Principal& principal, bool exclusive
) {
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> others,
      store_.scan(keys::kRegistry, keys::things_of_principal(principal.resource), {}, 2)
  );
  const std::string own_key = keys::things_of_principal(principal.resource).text(thing).take();
  for (const store::Entry& other : others) {
    if (other.key == own_key) {
      continue;
    }
    IOTCORE_ASSIGN(const auto link, parse_record<record::ThingPrincipal>(other.value));
    if (exclusive || link.exclusive()) {
      return fail(
          Errc::kInvalidRequest,
          "The principal is attached to another thing, and one of the two attachments is exclusive"
      );
    }
  }
  return {};
}

Result<api::DetachThingPrincipalResponse> ThingPrincipals::detach(
    const api::DetachThingPrincipalRequest& request
) {
  IOTCORE_TRY(until_no_conflict([&] { return try_detach(request); }));
  return api::DetachThingPrincipalResponse();
}

Status ThingPrincipals::try_detach(const api::DetachThingPrincipalRequest& request) {
  IOTCORE_ASSIGN(const Principal principal, parse_principal(options_.account, request.principal()));
  IOTCORE_TRY(check_kind(principal));
  store::Batch batch;
  IOTCORE_TRY(touch_thing(store_, batch, request.thing_name()));
  IOTCORE_TRY(touch_principal(store_, batch, principal));
  const std::string& thing = request.thing_name();
  batch.erase(keys::kRegistry, keys::principals_of_thing(thing).text(principal.resource));
  batch.erase(keys::kRegistry, keys::things_of_principal(principal.resource).text(thing));
  return commit(store_, std::move(batch));
}

Result<api::ListThingPrincipalsResponse> ThingPrincipals::list_principals(
    const api::ListThingPrincipalsRequest& request
) {
  IOTCORE_TRY(get_record<record::Thing>(
      store_,
      keys::kRegistry,
      keys::thing(request.thing_name()),
      "Thing " + request.thing_name() + " does not exist"
  ));
  IOTCORE_ASSIGN(
      PageRequest page,
      PageRequest::make(
          keys::kRegistry,
          keys::principals_of_thing(request.thing_name()),
          optional_text(request.has_next_token(), request.next_token()),
          optional_size(request.has_max_results(), request.max_results())
      )
  );
  PageReader reader(store_, std::move(page));
  IOTCORE_ASSIGN(const std::vector<store::Entry> rows, reader.page());
  api::ListThingPrincipalsResponse response;
  for (const store::Entry& row : rows) {
    response.add_principals(principal_text(options_.account, segment_of(row.key, 1)));
  }
  if (reader.token()) {
    response.set_next_token(*reader.token());
  }
  return response;
}

Result<api::ListPrincipalThingsResponse> ThingPrincipals::list_things(
    const api::ListPrincipalThingsRequest& request
) {
  IOTCORE_ASSIGN(const Principal principal, parse_principal(options_.account, request.principal()));
  IOTCORE_TRY(check_kind(principal));
  IOTCORE_TRY(check_principal_exists(store_, principal));
  IOTCORE_ASSIGN(
      PageRequest page,
      PageRequest::make(
          keys::kRegistry,
          keys::things_of_principal(principal.resource),
          optional_text(request.has_next_token(), request.next_token()),
          optional_size(request.has_max_results(), request.max_results())
      )
  );
  PageReader reader(store_, std::move(page));
  IOTCORE_ASSIGN(const std::vector<store::Entry> rows, reader.page());
  api::ListPrincipalThingsResponse response;
  for (const store::Entry& row : rows) {
    response.add_things(segment_of(row.key, 1));
  }
  if (reader.token()) {
    response.set_next_token(*reader.token());
  }
  return response;
}

namespace {

// Rows of one way of attaching are picked from the page, which may then be short.
Result<std::optional<std::string>> type_if_wanted(
    const store::Entry& row, bool filtered, std::string_view wanted
) {
  IOTCORE_ASSIGN(const auto link, parse_record<record::ThingPrincipal>(row.value));
  const std::string_view type = link.exclusive() ? kExclusive : kNotExclusive;
  if (filtered && type != wanted) {
    return std::nullopt;
  }
  return std::string(type);
}

}  // namespace

Result<api::ListThingPrincipalsV2Response> ThingPrincipals::list_principals_v2(
    const api::ListThingPrincipalsV2Request& request
) {
  IOTCORE_TRY(get_record<record::Thing>(
      store_,
      keys::kRegistry,
      keys::thing(request.thing_name()),
      "Thing " + request.thing_name() + " does not exist"
  ));
  api::ListThingPrincipalsV2Response response;
  IOTCORE_TRY(read_page(
      store_,
      keys::kRegistry,
      keys::principals_of_thing(request.thing_name()),
      request,
      response,
      [&](const store::Entry& row) -> Status {
        IOTCORE_ASSIGN(
            auto type,
            type_if_wanted(row, request.has_thing_principal_type(), request.thing_principal_type())
        );
        if (type) {
          auto& out = *response.add_thing_principal_objects();
          out.set_principal(principal_text(options_.account, segment_of(row.key, 1)));
          out.set_thing_principal_type(*std::move(type));
        }
        return {};
      }
  ));
  return response;
}

Result<api::ListPrincipalThingsV2Response> ThingPrincipals::list_things_v2(
    const api::ListPrincipalThingsV2Request& request
) {
  IOTCORE_ASSIGN(const Principal principal, parse_principal(options_.account, request.principal()));
  IOTCORE_TRY(check_kind(principal));
  IOTCORE_TRY(check_principal_exists(store_, principal));
  api::ListPrincipalThingsV2Response response;
  IOTCORE_TRY(read_page(
      store_,
      keys::kRegistry,
      keys::things_of_principal(principal.resource),
      request,
      response,
      [&](const store::Entry& row) -> Status {
        IOTCORE_ASSIGN(
            auto type,
            type_if_wanted(row, request.has_thing_principal_type(), request.thing_principal_type())
        );
        if (type) {
          auto& out = *response.add_principal_thing_objects();
          out.set_thing_name(segment_of(row.key, 1));
          out.set_thing_principal_type(*std::move(type));
        }
        return {};
      }
  ));
  return response;
}

}  // namespace iotcore::registry
