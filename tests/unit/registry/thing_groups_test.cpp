#include "registry/thing_groups.h"

#include "tests/unit/registry/fixture.h"

namespace iotcore::registry {
namespace {

using Names = std::vector<std::string>;

template <typename Groups>
Names names_of(const Groups& groups) {
  Names out;
  for (const auto& group : groups) {
    out.push_back(group.group_name());
  }
  return out;
}

struct GroupFixture : Fixture {
  using Fixture::Fixture;

  auto create(
      const std::string& name, const std::string& parent = "", const std::string& more = ""
  ) {
    return registry.thing_groups().create(request<api::CreateThingGroupRequest>(
        "thing_group_name: '" + name + "' " +
        (parent.empty() ? "" : "parent_group_name: '" + parent + "' ") + more
    ));
  }

  auto describe(const std::string& name) {
    return registry.thing_groups().describe(
        request<api::DescribeThingGroupRequest>("thing_group_name: '" + name + "'")
    );
  }

  auto update(const std::string& text) {
    return registry.thing_groups().update(request<api::UpdateThingGroupRequest>(text));
  }

  auto remove(const std::string& name, const std::string& more = "") {
    return registry.thing_groups().remove(
        request<api::DeleteThingGroupRequest>("thing_group_name: '" + name + "' " + more)
    );
  }

  Names list(const std::string& text = "") {
    const auto page = registry.thing_groups().list(request<api::ListThingGroupsRequest>(text));
    REQUIRE(page);
    return names_of(page->thing_groups());
  }

  auto add(const std::string& thing, const std::string& group, const std::string& more = "") {
    return registry.group_members().add(request<api::AddThingToThingGroupRequest>(
        "thing_name: '" + thing + "' thing_group_name: '" + group + "' " + more
    ));
  }

  auto leave(const std::string& thing, const std::string& group) {
    return registry.group_members().remove(request<api::RemoveThingFromThingGroupRequest>(
        "thing_name: '" + thing + "' thing_group_name: '" + group + "'"
    ));
  }

  Names things_in(const std::string& group, bool recursive = false) {
    const auto page =
        registry.group_members().list_things(request<api::ListThingsInThingGroupRequest>(
            "thing_group_name: '" + group + "' recursive: " + (recursive ? "true" : "false")
        ));
    REQUIRE(page);
    return {page->things().begin(), page->things().end()};
  }

  Names groups_of_thing(const std::string& thing) {
    const auto page = registry.group_members().list_groups(
        request<api::ListThingGroupsForThingRequest>("thing_name: '" + thing + "'")
    );
    REQUIRE(page);
    return names_of(page->thing_groups());
  }

  auto create_dynamic(const std::string& name, const std::string& query) {
    return registry.dynamic_groups().create(request<api::CreateDynamicThingGroupRequest>(
        "thing_group_name: '" + name + "' query_string: '" + query + "'"
    ));
  }

  std::string status(const std::string& name) { return describe(name)->status(); }
};

TEST_CASE("groups stand in trees") {
  GroupFixture f;
  const auto root = f.create("root", "", "thing_group_properties { thing_group_description: 'r' }");
  REQUIRE(root);
  CHECK(root->thing_group_arn() == std::string(kArn) + "thinggroup/root");
  REQUIRE(f.create("a", "root"));
  REQUIRE(f.create("b", "root"));
  REQUIRE(f.create("a1", "a"));
  REQUIRE(f.create("other"));

  const auto described = f.describe("a1");
  REQUIRE(described);
  CHECK(described->version() == 1);
  CHECK(described->thing_group_metadata().parent_group_name() == "a");
  CHECK(
      names_of(described->thing_group_metadata().root_to_parent_thing_groups()) ==
      Names{"root", "a"}
  );
  CHECK_FALSE(described->has_status());
  CHECK_FALSE(f.describe("root")->thing_group_metadata().has_parent_group_name());
  CHECK(f.describe("root")->thing_group_properties().thing_group_description() == "r");

  CHECK(f.list() == Names{"a", "a1", "b", "other", "root"});
  CHECK(f.list("recursive: false") == Names{"other", "root"});
  CHECK(f.list("parent_group: 'root'") == Names{"a", "a1", "b"});
  CHECK(f.list("parent_group: 'root' recursive: false") == Names{"a", "b"});
  CHECK(f.list("parent_group: 'b'") == Names{});
  CHECK(f.list("name_prefix_filter: 'a'") == Names{"a", "a1"});
  CHECK(f.list("parent_group: 'root' name_prefix_filter: 'a'") == Names{"a", "a1"});
  CHECK(f.list("parent_group: 'root' recursive: false name_prefix_filter: 'b'") == Names{"b"});
  CHECK(
      code_of(f.registry.thing_groups().list(
          Fixture::request<api::ListThingGroupsRequest>("parent_group: 'none'")
      )) == Errc::kNotFound
  );

  CHECK(f.create("a", "root")->thing_group_id() == f.describe("a")->thing_group_id());
  CHECK(code_of(f.create("a")) == Errc::kAlreadyExists);
  CHECK(code_of(f.create("x", "none")) == Errc::kInvalidRequest);
  CHECK(code_of(f.remove("root")) == Errc::kInvalidRequest);
  CHECK(f.remove("none"));
  CHECK(f.remove("a1"));
  CHECK(f.remove("a"));
  CHECK(f.remove("b"));
  CHECK(f.remove("root"));
  CHECK(f.list() == Names{"other"});
}

TEST_CASE("lists of groups are paged") {
  GroupFixture f;
  REQUIRE(f.create("root"));
  for (int i = 0; i < 25; ++i) {
    REQUIRE(f.create("g" + std::to_string(100 + i), "root"));
  }
  for (const std::string filter :
       {"",
        "parent_group: 'root'",
        "parent_group: 'root' recursive: false",
        "name_prefix_filter: 'g'"}) {
    Names all;
    std::string token;
    do {
      const auto page =
          f.registry.thing_groups().list(Fixture::request<api::ListThingGroupsRequest>(
              filter + " max_results: 7" + (token.empty() ? "" : " next_token: '" + token + "'")
          ));
      REQUIRE(page);
      CHECK(page->thing_groups_size() <= 7);
      const Names names = names_of(page->thing_groups());
      all.insert(all.end(), names.begin(), names.end());
      token = page->next_token();
    } while (!token.empty());
    CHECK(all.size() == (filter.empty() ? 26 : 25));
  }
}

TEST_CASE("the depth, the children and the attributes of groups are bounded") {
  Options options = Fixture::fast_options();
  options.limits.children_per_group_max = 3;
  GroupFixture f(options);
  REQUIRE(f.create("d1"));
  for (int depth = 2; depth <= 7; ++depth) {
    REQUIRE(f.create("d" + std::to_string(depth), "d" + std::to_string(depth - 1)));
  }
  CHECK(code_of(f.create("d8", "d7")) == Errc::kInvalidRequest);
  REQUIRE(f.create("c2", "d1"));
  REQUIRE(f.create("c3", "d1"));
  CHECK(code_of(f.create("c4", "d1")) == Errc::kInvalidRequest);
  const auto attributes = [](int n) {
    std::string out = "thing_group_properties { attribute_payload {";
    for (int i = 0; i < n; ++i) {
      out += " attributes { key: 'k" + std::to_string(i) + "' value: 'v' }";
    }
    return out + " } }";
  };
  CHECK(f.create("fifty", "", attributes(50)));
  CHECK(code_of(f.create("more", "", attributes(51))) == Errc::kInvalidRequest);
}

TEST_CASE("updating a group replaces or merges its attributes") {
  GroupFixture f;
  REQUIRE(f.create(
      "g",
      "",
      "thing_group_properties { thing_group_description: 'd' attribute_payload { attributes { key: "
      "'a' value: '1' } } }"
  ));
  const auto merged = f.update(
      "thing_group_name: 'g' thing_group_properties { attribute_payload { merge: true attributes { "
      "key: 'b' value: '2' } } }"
  );
  REQUIRE(merged);
  CHECK(merged->version() == 2);
  CHECK(f.describe("g")->thing_group_properties().attribute_payload().attributes().size() == 2);
  CHECK(f.describe("g")->thing_group_properties().thing_group_description() == "d");
  CHECK(
      code_of(f.update("thing_group_name: 'g' expected_version: 1 thing_group_properties {}")) ==
      Errc::kVersionConflict
  );
  REQUIRE(f.update(
      "thing_group_name: 'g' expected_version: 2 thing_group_properties { thing_group_description: "
      "'e' attribute_payload { attributes { key: 'c' value: '3' } } }"
  ));
  const auto now = f.describe("g");
  CHECK(now->version() == 3);
  CHECK(now->thing_group_properties().attribute_payload().attributes().size() == 1);
  CHECK(now->thing_group_properties().thing_group_description() == "e");
  CHECK(code_of(f.remove("g", "expected_version: 2")) == Errc::kVersionConflict);
  CHECK(f.remove("g", "expected_version: 3"));
  CHECK(code_of(f.update("thing_group_name: 'g' thing_group_properties {}")) == Errc::kNotFound);
}

TEST_CASE("things are in groups, in one of each tree") {
  GroupFixture f;
  REQUIRE(f.create("root"));
  REQUIRE(f.create("a", "root"));
  REQUIRE(f.create("b", "root"));
  REQUIRE(f.create("other"));
  for (const char* thing : {"t1", "t2", "t3"}) {
    REQUIRE(f.create_thing(std::string("thing_name: '") + thing + "'"));
  }
  REQUIRE(f.add("t1", "a"));
  REQUIRE(f.add("t1", "a"));
  REQUIRE(f.add("t2", "b"));
  REQUIRE(f.add("t3", "root"));
  REQUIRE(f.add("t1", "other"));
  CHECK(f.things_in("root") == Names{"t3"});
  CHECK(f.things_in("root", true) == Names{"t3", "t1", "t2"});
  CHECK(f.things_in("a", true) == Names{"t1"});
  CHECK(f.groups_of_thing("t1") == Names{"a", "other"});
  // Being in a group is no version of the thing.
  CHECK(f.describe_thing("t1")->version() == 1);

  CHECK(code_of(f.add("t1", "b")) == Errc::kInvalidRequest);
  CHECK(code_of(f.add("t1", "root")) == Errc::kInvalidRequest);
  CHECK(code_of(f.add("t1", "none")) == Errc::kNotFound);
  CHECK(code_of(f.add("none", "a")) == Errc::kNotFound);
  // From one group of a tree to another at once; all or nothing.
  const auto move = [&](const std::string& text) {
    return f.registry.group_members().update(
        Fixture::request<api::UpdateThingGroupsForThingRequest>(text)
    );
  };
  CHECK(
      code_of(move("thing_name: 't1' thing_groups_to_remove: 'a' thing_groups_to_add: 'none'")) ==
      Errc::kNotFound
  );
  CHECK(f.groups_of_thing("t1") == Names{"a", "other"});
  REQUIRE(move("thing_name: 't1' thing_groups_to_remove: 'a' thing_groups_to_add: 'b'"));
  CHECK(f.groups_of_thing("t1") == Names{"b", "other"});
  CHECK(code_of(move("")) == Errc::kInvalidRequest);

  REQUIRE(f.leave("t1", "b"));
  REQUIRE(f.leave("t1", "b"));
  CHECK(f.things_in("b") == Names{"t2"});
  REQUIRE(f.delete_thing("thing_name: 't2'"));
  CHECK(f.things_in("b").empty());
}

TEST_CASE("a deleted group is not the next one of its name") {
  GroupFixture f;
  REQUIRE(f.create("g"));
  REQUIRE(f.create_thing("thing_name: 't'"));
  REQUIRE(f.add("t", "g"));
  REQUIRE(f.remove("g"));
  CHECK(f.groups_of_thing("t").empty());
  REQUIRE(f.create("g"));
  CHECK(f.groups_of_thing("t").empty());
  CHECK(f.things_in("g").empty());
  REQUIRE(f.add("t", "g"));
  CHECK(f.groups_of_thing("t") == Names{"g"});
  CHECK(f.things_in("g") == Names{"t"});
}

TEST_CASE("a thing is in ten groups at most") {
  GroupFixture f;
  REQUIRE(f.create_thing("thing_name: 't'"));
  for (int i = 0; i < 11; ++i) {
    REQUIRE(f.create("g" + std::to_string(i)));
  }
  for (int i = 0; i < 10; ++i) {
    REQUIRE(f.add("t", "g" + std::to_string(i)));
  }
  CHECK(code_of(f.add("t", "g10")) == Errc::kInvalidRequest);
  // What has been deleted takes no room.
  REQUIRE(f.remove("g3"));
  CHECK(f.add("t", "g10"));
}

TEST_CASE("things and groups go by their ARNs, too") {
  GroupFixture f;
  REQUIRE(f.create("g"));
  REQUIRE(f.create_thing("thing_name: 't'"));
  const auto add = [&](const std::string& text) {
    return f.registry.group_members().add(Fixture::request<api::AddThingToThingGroupRequest>(text));
  };
  const std::string arn(kArn);
  CHECK(add("thing_arn: '" + arn + "thing/t' thing_group_arn: '" + arn + "thinggroup/g'"));
  CHECK(f.things_in("g") == Names{"t"});
  CHECK(code_of(add("thing_name: 't'")) == Errc::kInvalidRequest);
  CHECK(code_of(add("thing_group_name: 'g'")) == Errc::kInvalidRequest);
  CHECK(
      code_of(add("thing_name: 't' thing_group_arn: '" + arn + "thing/g'")) == Errc::kInvalidRequest
  );
  CHECK(
      code_of(
          add("thing_name: 't' thing_group_name: 'h' thing_group_arn: '" + arn + "thinggroup/g'")
      ) == Errc::kInvalidRequest
  );
}

TEST_CASE("things join and leave dynamic groups with each write") {
  GroupFixture f;
  const auto thing = [&](const std::string& name, const std::string& value) {
    return "thing_name: '" + name + "' attribute_payload { attributes { key: 'v' value: '" + value +
           "' } }";
  };
  REQUIRE(f.create_thing(thing("old1", "1")));
  REQUIRE(f.create_thing(thing("old2", "2")));
  REQUIRE(f.create_dynamic("ones", "attributes.v:1"));
  CHECK(f.status("ones") == "BUILDING");
  // From now on; what was there before follows.
  REQUIRE(f.create_thing(thing("new1", "1")));
  CHECK(f.things_in("ones") == Names{"new1"});
  f.pool.run();
  CHECK(f.status("ones") == "ACTIVE");
  CHECK(f.things_in("ones") == Names{"new1", "old1"});

  REQUIRE(f.update_thing(thing("old2", "1")));
  REQUIRE(f.update_thing(thing("old1", "2")));
  CHECK(f.things_in("ones") == Names{"new1", "old2"});
  CHECK(f.groups_of_thing("old2") == Names{"ones"});
  REQUIRE(f.delete_thing("thing_name: 'new1'"));
  CHECK(f.things_in("ones") == Names{"old2"});

  const auto described = f.describe("ones");
  CHECK(described->query_string() == "attributes.v:1");
  CHECK(described->query_version() == "2017-09-30");
  CHECK(described->index_name() == "AWS_Things");
  CHECK(code_of(f.add("old1", "ones")) == Errc::kInvalidRequest);
  CHECK(code_of(f.leave("old2", "ones")) == Errc::kInvalidRequest);
  CHECK(code_of(f.create("child", "ones")) == Errc::kInvalidRequest);
  CHECK(code_of(f.remove("ones")) == Errc::kInvalidRequest);
  CHECK(
      code_of(f.update("thing_group_name: 'ones' thing_group_properties {}")) ==
      Errc::kInvalidRequest
  );

  const auto update = [&](const std::string& text) {
    return f.registry.dynamic_groups().update(
        Fixture::request<api::UpdateDynamicThingGroupRequest>(text)
    );
  };
  const auto changed =
      update("thing_group_name: 'ones' query_string: 'attributes.v:2' thing_group_properties {}");
  REQUIRE(changed);
  CHECK(changed->version() == 2);
  CHECK(f.status("ones") == "REBUILDING");
  f.pool.run();
  CHECK(f.status("ones") == "ACTIVE");
  CHECK(f.things_in("ones") == Names{"old1"});
  CHECK(
      code_of(update("thing_group_name: 'ones' query_string: '((' thing_group_properties {}")) ==
      Errc::kInvalidQuery
  );

  REQUIRE(f.registry.dynamic_groups().remove(
      Fixture::request<api::DeleteDynamicThingGroupRequest>("thing_group_name: 'ones'")
  ));
  CHECK(code_of(f.describe("ones")) == Errc::kNotFound);
  CHECK(f.groups_of_thing("old1").empty());
  REQUIRE(f.update_thing(thing("old1", "3")));
}

TEST_CASE("a build that was cut off goes on at the next start") {
  GroupFixture f;
  REQUIRE(f.create_thing("thing_name: 't'"));
  REQUIRE(f.create_dynamic("all", "*"));
  // The pool never ran; another registry over the same store is the next start.
  ManualExecutor pool;
  Registry next(f.store, f.clock, Fixture::fast_options(), test_authority(), pool);
  REQUIRE(next.dynamic_groups().start());
  pool.run();
  CHECK(f.status("all") == "ACTIVE");
  CHECK(f.things_in("all") == Names{"t"});
}

TEST_CASE("dynamic groups of many things are built page by page") {
  GroupFixture f;
  for (int i = 0; i < 1203; ++i) {
    REQUIRE(f.create_thing("thing_name: 't" + std::to_string(10000 + i) + "'"));
  }
  REQUIRE(f.create_dynamic("some", "thingName:t1000*"));
  REQUIRE(f.create_dynamic("all", "*"));
  f.pool.run();
  CHECK(f.things_in("some").size() == 10);
  std::size_t count = 0;
  std::string token;
  do {
    const auto page =
        f.registry.group_members().list_things(Fixture::request<api::ListThingsInThingGroupRequest>(
            "thing_group_name: 'all'" + (token.empty() ? "" : " next_token: '" + token + "'")
        ));
    REQUIRE(page);
    count += static_cast<std::size_t>(page->things_size());
    token = page->next_token();
  } while (!token.empty());
  CHECK(count == 1203);
}

TEST_CASE("a build ends with the server and goes on with the next one") {
  GroupFixture f;
  for (int i = 0; i < 600; ++i) {
    REQUIRE(f.create_thing("thing_name: 't" + std::to_string(10000 + i) + "'"));
  }
  REQUIRE(f.create_dynamic("all", "*"));
  f.registry.stop();
  f.pool.run();
  CHECK(f.status("all") == "BUILDING");
}

TEST_CASE("older dynamic groups go first, static ones before all when they are told to") {
  GroupFixture f;
  REQUIRE(f.create_thing("thing_name: 't'"));
  for (int i = 0; i < 11; ++i) {
    REQUIRE(f.create_dynamic("d" + std::to_string(20 - i), "*"));
    f.clock.advance(std::chrono::milliseconds(1));
    f.pool.run();
  }
  CHECK(f.groups_of_thing("t").size() == 10);
  CHECK(f.things_in("d10").empty());
  REQUIRE(f.create("static"));
  CHECK(code_of(f.add("t", "static")) == Errc::kInvalidRequest);
  REQUIRE(f.add("t", "static", "override_dynamic_groups: true"));
  CHECK(f.things_in("static") == Names{"t"});
  CHECK(f.things_in("d11").empty());
  REQUIRE(f.leave("t", "static"));
  CHECK(f.things_in("d11") == Names{"t"});
}

TEST_CASE("dynamic groups are bounded") {
  Options options = Fixture::fast_options();
  options.limits.dynamic_groups_max = 2;
  GroupFixture f(options);
  REQUIRE(f.create_dynamic("a", "*"));
  REQUIRE(f.create_dynamic("b", "*"));
  CHECK(f.create_dynamic("b", "*"));
  CHECK(code_of(f.create_dynamic("b", "x")) == Errc::kAlreadyExists);
  CHECK(code_of(f.create_dynamic("c", "*")) == Errc::kLimitExceeded);
  CHECK(code_of(f.create_dynamic("d", "thingName:*x")) == Errc::kInvalidQuery);
}

TEST_CASE("a thing that is in memory is described from there as from the store") {
  Fixture f;
  auto& billing = f.registry.billing_groups();
  const auto cached = [&f](const std::string& name) {
    return f.registry.things().describe_cached(
        Fixture::request<api::DescribeThingRequest>("thing_name: '" + name + "'")
    );
  };
  const auto same = [&](const std::string& name) {
    const auto from_memory = cached(name);
    const auto from_store = f.describe_thing(name);
    REQUIRE(from_memory);
    REQUIRE(from_store);
    CHECK(from_memory->SerializeAsString() == from_store->SerializeAsString());
    return from_memory->billing_group_name();
  };
  const auto create = [&] {
    REQUIRE(billing.create(
        Fixture::request<api::CreateBillingGroupRequest>("billing_group_name: 'b'")
    ));
  };
  CHECK_FALSE(cached("t"));
  REQUIRE(f.create_thing("thing_name: 't' attribute_payload { attributes { key: 'k' value: 'v' } }")
  );
  CHECK(same("t").empty());
  create();
  REQUIRE(billing.add_thing(Fixture::request<api::AddThingToBillingGroupRequest>(
      "billing_group_name: 'b' thing_name: 't'"
  )));
  CHECK(same("t") == "b");
  // The group is looked up where it may take a while; a later one of its name is another one.
  REQUIRE(billing.remove(
      Fixture::request<api::DeleteBillingGroupRequest>("billing_group_name: 'b'")
  ));
  CHECK_FALSE(cached("t"));
  CHECK(f.describe_thing("t")->billing_group_name().empty());
  create();
  CHECK(same("t").empty());
}

TEST_CASE("a thing is in one billing group") {
  Fixture f;
  auto& billing = f.registry.billing_groups();
  const auto create = [&](const std::string& text) {
    return billing.create(Fixture::request<api::CreateBillingGroupRequest>(text));
  };
  const auto add = [&](const std::string& thing, const std::string& group) {
    return billing.add_thing(Fixture::request<api::AddThingToBillingGroupRequest>(
        "thing_name: '" + thing + "' billing_group_name: '" + group + "'"
    ));
  };
  const auto things_in = [&](const std::string& group) {
    const auto page = billing.list_things(Fixture::request<api::ListThingsInBillingGroupRequest>(
        "billing_group_name: '" + group + "'"
    ));
    REQUIRE(page);
    return Names(page->things().begin(), page->things().end());
  };
  const auto made =
      create("billing_group_name: 'a' billing_group_properties { billing_group_description: 'x' }");
  REQUIRE(made);
  CHECK(made->billing_group_arn() == std::string(kArn) + "billinggroup/a");
  CHECK(code_of(create("billing_group_name: 'a'")) == Errc::kAlreadyExists);
  REQUIRE(create("billing_group_name: 'b'"));
  REQUIRE(f.create_thing("thing_name: 't1' billing_group_name: 'a'"));
  REQUIRE(f.create_thing("thing_name: 't2'"));
  CHECK(f.describe_thing("t1")->billing_group_name() == "a");
  REQUIRE(add("t1", "b"));
  REQUIRE(add("t2", "b"));
  CHECK(things_in("a").empty());
  CHECK(things_in("b") == Names{"t1", "t2"});
  CHECK(code_of(add("t1", "none")) == Errc::kNotFound);
  CHECK(code_of(add("none", "b")) == Errc::kNotFound);
  REQUIRE(billing.remove_thing(Fixture::request<api::RemoveThingFromBillingGroupRequest>(
      "thing_name: 't2' billing_group_name: 'b'"
  )));
  CHECK(things_in("b") == Names{"t1"});

  const auto updated = billing.update(Fixture::request<api::UpdateBillingGroupRequest>(
      "billing_group_name: 'b' expected_version: 1 billing_group_properties { "
      "billing_group_description: 'y' }"
  ));
  REQUIRE(updated);
  CHECK(updated->version() == 2);
  REQUIRE(billing.remove(Fixture::request<api::DeleteBillingGroupRequest>("billing_group_name: 'b'")
  ));
  CHECK_FALSE(f.describe_thing("t1")->has_billing_group_name());
  REQUIRE(create("billing_group_name: 'b'"));
  CHECK_FALSE(f.describe_thing("t1")->has_billing_group_name());
  CHECK(things_in("b").empty());
  CHECK(billing.remove(Fixture::request<api::DeleteBillingGroupRequest>("billing_group_name: 'none'"
  )));
}

}  // namespace
}  // namespace iotcore::registry
