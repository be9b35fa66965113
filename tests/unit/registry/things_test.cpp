#include "registry/things.h"

#include "tests/unit/registry/fixture.h"

namespace iotcore::registry {
namespace {

using namespace std::chrono_literals;

std::vector<std::string> names_in(const api::ListThingsResponse& page) {
  std::vector<std::string> names;
  for (const auto& thing : page.things()) {
    names.push_back(thing.thing_name());
  }
  return names;
}

using Names = std::vector<std::string>;

TEST_CASE("creating a thing again is the same thing, or a conflict") {
  Fixture f;
  const auto first = f.create_thing("thing_name: 'a:b_c-1'");
  REQUIRE(first);
  CHECK(first->thing_arn() == std::string(kArn) + "thing/a:b_c-1");
  CHECK(first->thing_id().size() == 36);
  CHECK(f.create_thing("thing_name: 'a:b_c-1'")->thing_id() == first->thing_id());
  // An attribute without a value is no attribute.
  CHECK(
      f.create_thing("thing_name: 'a:b_c-1' attribute_payload { attributes { key: 'k' value: '' } }"
      )
          ->thing_id() == first->thing_id()
  );
  const auto other = f.create_thing(
      "thing_name: 'a:b_c-1' attribute_payload { attributes { key: 'k' value: 'v' } }"
  );
  CHECK(code_of(other) == Errc::kAlreadyExists);
  CHECK(other.error().details().size() == 2);
  CHECK(other.error().details()[1].second == first->thing_arn());

  const auto described = f.describe_thing("a:b_c-1");
  REQUIRE(described);
  CHECK(described->version() == 1);
  CHECK(described->default_client_id() == "a:b_c-1");
  CHECK_FALSE(described->has_thing_type_name());
  CHECK(code_of(f.describe_thing("none")) == Errc::kNotFound);
}

TEST_CASE("a thing's attributes are bounded by whether it has a type") {
  Fixture f;
  const auto attributes = [](int n) {
    std::string out = "attribute_payload {";
    for (int i = 0; i < n; ++i) {
      out += " attributes { key: 'k" + std::to_string(i) + "' value: 'v' }";
    }
    return out + " }";
  };
  CHECK(f.create_thing("thing_name: 'three' " + attributes(3)));
  CHECK(code_of(f.create_thing("thing_name: 'four' " + attributes(4))) == Errc::kInvalidRequest);
  REQUIRE(f.registry.thing_types().create(
      Fixture::request<api::CreateThingTypeRequest>("thing_type_name: 'type'")
  ));
  CHECK(f.create_thing("thing_name: 'fifty' thing_type_name: 'type' " + attributes(50)));
  CHECK(
      code_of(f.create_thing("thing_name: 'more' thing_type_name: 'type' " + attributes(51))) ==
      Errc::kInvalidRequest
  );
  // Losing its type would leave it with too many.
  CHECK(
      code_of(f.update_thing("thing_name: 'fifty' remove_thing_type: true")) ==
      Errc::kInvalidRequest
  );
  CHECK(code_of(f.create_thing("thing_name: 'x' thing_type_name: 'unknown'")) == Errc::kNotFound);
  CHECK(
      code_of(f.create_thing("thing_name: 'x' billing_group_name: 'unknown'")) == Errc::kNotFound
  );
}

TEST_CASE("updating replaces or merges attributes and counts versions") {
  Fixture f;
  REQUIRE(
      f.create_thing("thing_name: 't' attribute_payload { attributes { key: 'a' value: '1' } "
                     "attributes { key: 'b' value: '2' } }")
  );
  REQUIRE(f.update_thing(
      "thing_name: 't' attribute_payload { merge: true attributes { key: 'b' value: '' } "
      "attributes { key: 'c' value: '3' } }"
  ));
  auto now = f.describe_thing("t");
  CHECK(now->version() == 2);
  CHECK(now->attributes().size() == 2);
  CHECK(now->attributes().at("a") == "1");
  CHECK(now->attributes().at("c") == "3");

  REQUIRE(f.update_thing(
      "thing_name: 't' expected_version: 2 attribute_payload { attributes { key: 'd' value: '4' } }"
  ));
  now = f.describe_thing("t");
  CHECK(now->version() == 3);
  CHECK(now->attributes().size() == 1);
  CHECK(now->attributes().at("d") == "4");

  CHECK(
      code_of(f.update_thing("thing_name: 't' expected_version: 2 attribute_payload {}")) ==
      Errc::kVersionConflict
  );
  CHECK(f.describe_thing("t")->version() == 3);
  // No payload: the attributes stay; an empty one empties them.
  REQUIRE(f.update_thing("thing_name: 't'"));
  CHECK(f.describe_thing("t")->attributes().size() == 1);
  REQUIRE(f.update_thing("thing_name: 't' attribute_payload {}"));
  CHECK(f.describe_thing("t")->attributes().empty());

  CHECK(code_of(f.update_thing("thing_name: 'none'")) == Errc::kNotFound);
  CHECK(
      code_of(f.update_thing("thing_name: 't' thing_type_name: 'x' remove_thing_type: true")) ==
      Errc::kInvalidRequest
  );
  CHECK(code_of(f.update_thing("thing_name: 't' thing_type_name: 'x'")) == Errc::kNotFound);
}

TEST_CASE("deleting a thing asks for its version and its principals") {
  Fixture f;
  REQUIRE(f.create_thing("thing_name: 't'"));
  CHECK(code_of(f.delete_thing("thing_name: 't' expected_version: 9")) == Errc::kVersionConflict);
  const auto certificate = f.certificate();
  REQUIRE(f.attach_thing("t", certificate.certificate_arn()));
  CHECK(code_of(f.delete_thing("thing_name: 't'")) == Errc::kInvalidRequest);
  REQUIRE(f.detach_thing("t", certificate.certificate_arn()));
  CHECK(f.delete_thing("thing_name: 't' expected_version: 1"));
  CHECK(f.delete_thing("thing_name: 't'"));
  CHECK(f.delete_thing("thing_name: 'never' expected_version: 7"));
  CHECK(code_of(f.describe_thing("t")) == Errc::kNotFound);
}

TEST_CASE("things are listed by pages, whatever happens between them") {
  Fixture f;
  for (const char* name : {"d", "b", "a", "c", "e"}) {
    REQUIRE(f.create_thing("thing_name: '" + std::string(name) + "'"));
  }
  auto page = f.list_things("max_results: 2");
  REQUIRE(page);
  CHECK(names_in(*page) == Names{"a", "b"});
  REQUIRE(f.delete_thing("thing_name: 'b'"));
  page = f.list_things("max_results: 2 next_token: '" + page->next_token() + "'");
  CHECK(names_in(*page) == Names{"c", "d"});
  REQUIRE(page->has_next_token());
  page = f.list_things("max_results: 2 next_token: '" + page->next_token() + "'");
  CHECK(names_in(*page) == Names{"e"});
  CHECK_FALSE(page->has_next_token());
  CHECK_FALSE(f.list_things("max_results: 4")->has_next_token());
  CHECK(code_of(f.list_things("next_token: '!'")) == Errc::kInvalidRequest);
  CHECK(code_of(f.list_things("next_token: 'AAAA'")) == Errc::kInvalidRequest);
  CHECK(code_of(f.list_things("next_token: ''")) == Errc::kInvalidRequest);
}

TEST_CASE("things are found by attribute and type") {
  Fixture f;
  REQUIRE(f.registry.thing_types().create(
      Fixture::request<api::CreateThingTypeRequest>("thing_type_name: 'lamp'")
  ));
  const auto add = [&f](const std::string& name, const std::string& site, const std::string& more) {
    REQUIRE(f.create_thing(
        "thing_name: '" + name + "' attribute_payload { attributes { key: 'site' value: '" + site +
        "' } } " + more
    ));
  };
  add("1", "oslo", "thing_type_name: 'lamp'");
  add("2", "oslo", "");
  add("3", "ostrava", "thing_type_name: 'lamp'");
  add("4", "bergen", "");
  const auto names = [&f](const std::string& filter) {
    const auto page = f.list_things(filter);
    REQUIRE(page);
    return names_in(*page);
  };
  CHECK(names("attribute_name: 'site' attribute_value: 'oslo'") == Names{"1", "2"});
  CHECK(names("attribute_name: 'site' attribute_value: 'os'") == Names{});
  CHECK(
      names("attribute_name: 'site' attribute_value: 'os' use_prefix_attribute_value: true") ==
      Names{"1", "2", "3"}
  );
  CHECK(names("attribute_name: 'site'") == Names{"4", "1", "2", "3"});
  CHECK(names("thing_type_name: 'lamp'") == Names{"1", "3"});
  CHECK(
      names("thing_type_name: 'lamp' attribute_name: 'site' attribute_value: 'oslo'") == Names{"1"}
  );
  CHECK(names("attribute_name: 'other' attribute_value: 'oslo'") == Names{});
  CHECK(code_of(f.list_things("attribute_value: 'oslo'")) == Errc::kInvalidRequest);
  CHECK(
      code_of(f.list_things("attribute_name: 'site' use_prefix_attribute_value: true")) ==
      Errc::kInvalidRequest
  );

  // The indexes follow updates and deletes.
  REQUIRE(f.update_thing(
      "thing_name: '1' remove_thing_type: true attribute_payload { attributes { key: 'site' value: "
      "'bergen' } }"
  ));
  REQUIRE(f.delete_thing("thing_name: '3'"));
  CHECK(names("thing_type_name: 'lamp'") == Names{});
  CHECK(names("attribute_name: 'site'") == Names{"1", "4", "2"});

  // Pages with a second filter are filled over rows that it drops.
  auto page = f.list_things("attribute_name: 'site' max_results: 1");
  CHECK(names_in(*page) == Names{"1"});
  page = f.list_things(
      "attribute_name: 'site' max_results: 1 next_token: '" + page->next_token() + "'"
  );
  CHECK(names_in(*page) == Names{"4"});
  CHECK(
      code_of(f.list_things("attribute_name: 'other' next_token: '" + page->next_token() + "'")) ==
      Errc::kInvalidRequest
  );
}

TEST_CASE("thing types live from creation over deprecation to deletion") {
  Fixture f;
  auto& types = f.registry.thing_types();
  const auto create = [&](const std::string& text) {
    return types.create(Fixture::request<api::CreateThingTypeRequest>(text));
  };
  const auto deprecate = [&](const std::string& text) {
    return types.deprecate(Fixture::request<api::DeprecateThingTypeRequest>(text));
  };
  const auto remove = [&](const std::string& name) {
    return types.remove(
        Fixture::request<api::DeleteThingTypeRequest>("thing_type_name: '" + name + "'")
    );
  };
  const std::string lamp =
      "thing_type_name: 'lamp' thing_type_properties { thing_type_description: 'd' "
      "searchable_attributes: ['a', 'b', 'c'] }";
  const auto made = create(lamp);
  REQUIRE(made);
  CHECK(made->thing_type_arn() == std::string(kArn) + "thingtype/lamp");
  CHECK(create(lamp)->thing_type_id() == made->thing_type_id());
  CHECK(code_of(create("thing_type_name: 'lamp'")) == Errc::kAlreadyExists);
  CHECK(
      code_of(create("thing_type_name: 'x' thing_type_properties { searchable_attributes: ['a', "
                     "'b', 'c', 'd'] }")) == Errc::kInvalidRequest
  );
  REQUIRE(create("thing_type_name: 'alpha'"));

  auto described =
      types.describe(Fixture::request<api::DescribeThingTypeRequest>("thing_type_name: 'lamp'"));
  REQUIRE(described);
  CHECK(described->thing_type_properties().searchable_attributes_size() == 3);
  CHECK_FALSE(described->thing_type_metadata().deprecated());
  CHECK(described->thing_type_metadata().creation_date() == to_epoch_ms(f.clock.wall()));

  REQUIRE(f.create_thing("thing_name: 't' thing_type_name: 'lamp'"));
  CHECK(code_of(remove("lamp")) == Errc::kInvalidRequest);
  REQUIRE(deprecate("thing_type_name: 'lamp'"));
  CHECK(
      code_of(f.create_thing("thing_name: 'u' thing_type_name: 'lamp'")) == Errc::kInvalidRequest
  );
  CHECK(code_of(remove("lamp")) == Errc::kInvalidRequest);
  f.clock.advance(5min);
  CHECK(code_of(remove("lamp")) == Errc::kInvalidRequest);  // a thing has it
  REQUIRE(deprecate("thing_type_name: 'lamp' undo_deprecate: true"));
  REQUIRE(f.create_thing("thing_name: 'u' thing_type_name: 'lamp'"));
  REQUIRE(deprecate("thing_type_name: 'lamp'"));
  REQUIRE(f.delete_thing("thing_name: 't'"));
  REQUIRE(f.update_thing("thing_name: 'u' remove_thing_type: true"));
  f.clock.advance(5min - 1ms);
  CHECK(code_of(remove("lamp")) == Errc::kInvalidRequest);  // a moment too early
  f.clock.advance(1ms);
  CHECK(remove("lamp"));
  CHECK(code_of(remove("lamp")) == Errc::kNotFound);
  CHECK(code_of(deprecate("thing_type_name: 'lamp'")) == Errc::kNotFound);

  const auto all = types.list({});
  REQUIRE(all);
  REQUIRE(all->thing_types_size() == 1);
  CHECK(all->thing_types(0).thing_type_name() == "alpha");
  // As AWS does, though it calls it a name.
  const auto named = [&types](const std::string& front) {
    return types
        .list(Fixture::request<api::ListThingTypesRequest>("thing_type_name: '" + front + "'"))
        ->thing_types_size();
  };
  CHECK(named("alpha") == 1);
  CHECK(named("alph") == 1);
  CHECK(named("alphabet") == 0);
}

TEST_CASE("principals are attached to things, exclusively or not") {
  Fixture f;
  for (const char* name : {"a", "b"}) {
    REQUIRE(f.create_thing("thing_name: '" + std::string(name) + "'"));
  }
  const std::string shared = f.certificate().certificate_arn();
  const std::string own = f.certificate().certificate_arn();
  const std::string cognito = "us-east-1:01234567-89ab-cdef-0123-456789abcdef";
  REQUIRE(f.attach_thing("a", shared));
  REQUIRE(f.attach_thing("a", shared));
  REQUIRE(f.attach_thing("b", shared));
  REQUIRE(f.attach_thing("a", cognito));
  CHECK(
      code_of(f.attach_thing("a", shared, "thing_principal_type: 'EXCLUSIVE_THING'")) ==
      Errc::kInvalidRequest
  );
  REQUIRE(f.attach_thing("a", own, "thing_principal_type: 'EXCLUSIVE_THING'"));
  CHECK(code_of(f.attach_thing("b", own)) == Errc::kInvalidRequest);
  REQUIRE(f.attach_thing("a", own, "thing_principal_type: 'NON_EXCLUSIVE_THING'"));
  REQUIRE(f.attach_thing("b", own));

  CHECK(code_of(f.attach_thing("none", shared)) == Errc::kNotFound);
  CHECK(
      code_of(f.attach_thing("a", std::string(kArn) + "cert/" + std::string(64, '0'))) ==
      Errc::kNotFound
  );
  for (const std::string& wrong :
       {std::string("nonsense"),
        std::string(kArn) + "cert/12",
        std::string("arn:aws:iot:eu-west-1:000000000000:cert/") + std::string(64, '0'),
        std::string(kArn) + "thinggroup/g",
        std::string()}) {
    CHECK(code_of(f.attach_thing("a", wrong)) == Errc::kInvalidRequest);
  }

  const auto principals = f.registry.thing_principals().list_principals(
      Fixture::request<api::ListThingPrincipalsRequest>("thing_name: 'a' max_results: 2")
  );
  REQUIRE(principals);
  CHECK(principals->principals_size() == 2);
  CHECK(principals->has_next_token());
  const auto rest = f.registry.thing_principals().list_principals(
      Fixture::request<api::ListThingPrincipalsRequest>(
          "thing_name: 'a' next_token: '" + principals->next_token() + "'"
      )
  );
  REQUIRE(rest->principals_size() == 1);
  CHECK(rest->principals(0) == cognito);

  const auto things = [&](const std::string& principal) {
    api::ListPrincipalThingsRequest list;
    list.set_principal(principal);
    return f.registry.thing_principals().list_things(list);
  };
  CHECK(things(shared)->things_size() == 2);
  REQUIRE(f.detach_thing("a", shared));
  REQUIRE(f.detach_thing("a", shared));
  REQUIRE(things(shared)->things_size() == 1);
  CHECK(things(shared)->things(0) == "b");
  CHECK(code_of(things(std::string(kArn) + "cert/" + std::string(64, '0'))) == Errc::kNotFound);
  CHECK(code_of(f.detach_thing("none", shared)) == Errc::kNotFound);
}

}  // namespace
}  // namespace iotcore::registry
