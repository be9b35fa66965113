// Tags, events and logging options.
#include "base/json.h"
#include "registry/keys.h"
#include "tests/unit/registry/fixture.h"

#include <map>

namespace iotcore::registry {
namespace {

using Tagged = std::map<std::string, std::string>;

struct AccountFixture : Fixture {
  auto tag(const std::string& arn, const Tagged& tags) {
    api::TagResourceRequest request;
    request.set_resource_arn(arn);
    for (const auto& [key, value] : tags) {
      auto& out = *request.add_tags();
      out.set_key(key);
      out.set_value(value);
    }
    return registry.tags().tag(request);
  }

  auto untag(const std::string& arn, const std::vector<std::string>& keys) {
    api::UntagResourceRequest request;
    request.set_resource_arn(arn);
    *request.mutable_tag_keys() = {keys.begin(), keys.end()};
    return registry.tags().untag(request);
  }

  auto list(const std::string& arn) {
    api::ListTagsForResourceRequest request;
    request.set_resource_arn(arn);
    return registry.tags().list(request);
  }

  Tagged tags(const std::string& arn) {
    const auto page = list(arn);
    REQUIRE(page);
    Tagged out;
    for (const auto& tag : page->tags()) {
      out[tag.key()] = tag.value();
    }
    return out;
  }

  void enable(const std::string& type) {
    REQUIRE(registry.events().update(request<api::UpdateEventConfigurationsRequest>(
        "event_configurations { key: '" + type + "' value { enabled: true } }"
    )));
  }

  // Publishes into `published`; says that it is done unless told otherwise.
  void start_events(bool finish = true) {
    REQUIRE(registry.events().start(
        [this, finish](std::string topic, std::string payload, Function<void()> done) {
          published.emplace_back(std::move(topic), parse_json(payload)->as_object());
          if (finish) {
            done();
          }
        }
    ));
  }

  std::vector<std::pair<std::string, json::object>> published;
};

TEST_CASE("resources have tags") {
  AccountFixture f;
  const std::string arn = std::string(kArn) + "thinggroup/g";
  REQUIRE(f.registry.thing_groups().create(Fixture::request<api::CreateThingGroupRequest>(
      "thing_group_name: 'g' tags { key: 'a' value: '1' } tags { key: 'b' }"
  )));
  CHECK(f.tags(arn) == Tagged{{"a", "1"}, {"b", ""}});
  REQUIRE(f.tag(arn, {{"a", "2"}, {"c", "3"}}));
  REQUIRE(f.untag(arn, {"b", "never"}));
  CHECK(f.tags(arn) == Tagged{{"a", "2"}, {"c", "3"}});

  Tagged many;
  for (int i = 0; i < 48; ++i) {
    many["k" + std::to_string(i)] = "";
  }
  CHECK(f.tag(arn, many));
  CHECK(code_of(f.tag(arn, {{"one more", ""}})) == Errc::kLimitExceeded);
  CHECK(f.tag(arn, {{"a", "again"}}));
  CHECK(code_of(f.tag(arn, {{"aws:x", ""}})) == Errc::kInvalidRequest);

  CHECK(code_of(f.list(std::string(kArn) + "thinggroup/none")) == Errc::kNotFound);
  CHECK(code_of(f.list(std::string(kArn) + "thing/t")) == Errc::kInvalidRequest);
  CHECK(
      code_of(f.list("arn:aws:iot:us-east-1:123456789012:thinggroup/g")) == Errc::kInvalidRequest
  );
  CHECK(code_of(f.list("g")) == Errc::kInvalidRequest);

  // They go with the resource.
  REQUIRE(f.registry.thing_groups().remove(
      Fixture::request<api::DeleteThingGroupRequest>("thing_group_name: 'g'")
  ));
  REQUIRE(f.registry.thing_groups().create(
      Fixture::request<api::CreateThingGroupRequest>("thing_group_name: 'g'")
  ));
  CHECK(f.tags(arn).empty());
}

TEST_CASE("tags that the owner of a kind keeps") {
  AccountFixture f;
  using ByKey = Tags::ByKey;
  ByKey kept{{"a", "1"}};
  f.registry.tags().add_keeper(
      "rule",
      {[&kept](std::string_view name) -> Result<ByKey> {
         return name == "r" ? Result<ByKey>(kept) : fail(Errc::kNotFound, "none");
       },
       [&kept](std::string_view name, const std::function<Status(ByKey&)>& change) -> Status {
         if (name != "r") {
           return fail(Errc::kNotFound, "none");
         }
         ByKey changed = kept;
         IOTCORE_TRY(change(changed));
         kept = std::move(changed);
         return {};
       }}
  );
  const std::string arn = std::string(kArn) + "rule/r";
  CHECK(f.tags(arn) == Tagged{{"a", "1"}});
  REQUIRE(f.tag(arn, {{"a", "2"}, {"b", ""}}));
  REQUIRE(f.untag(arn, {"b", "never"}));
  CHECK(f.tags(arn) == Tagged{{"a", "2"}});

  Tagged many;
  for (int i = 0; i < 49; ++i) {
    many["k" + std::to_string(i)] = "";
  }
  CHECK(f.tag(arn, many));
  CHECK(code_of(f.tag(arn, {{"one more", ""}})) == Errc::kLimitExceeded);
  CHECK(kept.size() == 50);
  CHECK(code_of(f.tag(arn, {{"aws:x", ""}})) == Errc::kInvalidRequest);
  CHECK(code_of(f.list(std::string(kArn) + "rule/none")) == Errc::kNotFound);
  CHECK(code_of(f.untag(std::string(kArn) + "rule/none", {"a"})) == Errc::kNotFound);
}

TEST_CASE("events are off until they are switched on") {
  AccountFixture f;
  f.start_events();
  REQUIRE(f.create_thing("thing_name: 't'"));
  CHECK(f.published.empty());
  const auto before = f.registry.events().describe({});
  REQUIRE(before);
  CHECK(before->event_configurations().size() == 11);
  CHECK_FALSE(before->event_configurations().at("THING").enabled());
  f.enable("THING");
  const auto after = f.registry.events().describe({});
  CHECK(after->event_configurations().at("THING").enabled());
  CHECK_FALSE(after->event_configurations().at("THING_TYPE").enabled());
  CHECK(after->has_creation_date());

  REQUIRE(f.registry.thing_types().create(
      Fixture::request<api::CreateThingTypeRequest>("thing_type_name: 'type'")
  ));
  REQUIRE(f.update_thing(
      "thing_name: 't' thing_type_name: 'type' attribute_payload { attributes { key: 'a' value: "
      "'1' } }"
  ));
  REQUIRE(f.delete_thing("thing_name: 't'"));
  REQUIRE(f.published.size() == 2);
  const auto& [topic, event] = f.published[0];
  CHECK(topic == "$aws/events/thing/t/updated");
  CHECK(event.at("eventType") == "THING_EVENT");
  CHECK(event.at("operation") == "UPDATED");
  CHECK(event.at("accountId") == "000000000000");
  CHECK(event.at("eventId").as_string().size() == 36);
  CHECK(event.at("thingName") == "t");
  CHECK(event.at("versionNumber") == 2);
  CHECK(event.at("thingTypeName") == "type");
  CHECK(event.at("attributes") == json::object{{"a", "1"}});
  CHECK(f.published[1].first == "$aws/events/thing/t/deleted");
  CHECK(f.published[1].second.at("operation") == "DELETED");
}

TEST_CASE("events of types, groups and what is in them") {
  AccountFixture f;
  f.start_events();
  for (const char* type :
       {"THING_TYPE",
        "THING_TYPE_ASSOCIATION",
        "THING_GROUP",
        "THING_GROUP_HIERARCHY",
        "THING_GROUP_MEMBERSHIP"}) {
    f.enable(type);
  }
  REQUIRE(f.registry.thing_types().create(
      Fixture::request<api::CreateThingTypeRequest>("thing_type_name: 'type'")
  ));
  REQUIRE(f.create_thing("thing_name: 't' thing_type_name: 'type'"));
  auto& groups = f.registry.thing_groups();
  REQUIRE(groups.create(Fixture::request<api::CreateThingGroupRequest>("thing_group_name: 'up'")));
  REQUIRE(groups.create(Fixture::request<api::CreateThingGroupRequest>(
      "thing_group_name: 'down' parent_group_name: 'up'"
  )));
  REQUIRE(f.registry.group_members().add(
      Fixture::request<api::AddThingToThingGroupRequest>("thing_name: 't' thing_group_name: 'down'")
  ));
  REQUIRE(f.update_thing("thing_name: 't' remove_thing_type: true"));
  REQUIRE(f.delete_thing("thing_name: 't'"));
  REQUIRE(groups.remove(Fixture::request<api::DeleteThingGroupRequest>("thing_group_name: 'down'"))
  );
  std::vector<std::string> topics;
  for (const auto& [topic, event] : f.published) {
    topics.push_back(topic.substr(std::string("$aws/events/").size()));
  }
  CHECK(
      topics ==
      std::vector<std::string>{
          "thingType/type/created",
          "thingTypeAssociation/thing/t/thingType/type/added",
          "thingGroup/up/created",
          "thingGroup/down/created",
          "thingGroupHierarchy/thingGroup/up/childThingGroup/down/added",
          "thingGroupMembership/thingGroup/down/thing/t/added",
          "thingTypeAssociation/thing/t/thingType/type/removed",
          "thingGroupMembership/thingGroup/down/thing/t/removed",
          "thingGroup/down/deleted",
          "thingGroupHierarchy/thingGroup/up/childThingGroup/down/removed",
      }
  );
  const json::object& joined = f.published[5].second;
  const json::object& left = f.published[7].second;
  CHECK(joined.at("membershipId") == left.at("membershipId"));
  CHECK(std::string(joined.at("groupArn").as_string()) == std::string(kArn) + "thinggroup/down");
  const json::object& group = f.published[3].second;
  CHECK(group.at("parentGroupName") == "up");
  CHECK(group.at("rootToParentThingGroups").as_array().size() == 1);
  CHECK(group.at("dynamicGroupMappingId").is_null());
}

TEST_CASE("an event that was not published is published at the next start") {
  AccountFixture f;
  f.enable("THING");
  REQUIRE(f.create_thing("thing_name: 'before'"));
  f.start_events(false);
  REQUIRE(f.published.size() == 1);
  CHECK(f.published[0].first == "$aws/events/thing/before/created");
  REQUIRE(f.create_thing("thing_name: 'unfinished'"));

  ManualExecutor pool;
  Registry next(f.store, f.clock, Fixture::fast_options(), test_authority(), pool);
  std::vector<std::string> topics;
  REQUIRE(next.events().start([&](std::string topic, std::string, Function<void()> done) {
    topics.push_back(std::move(topic));
    done();
  }));
  CHECK(
      topics ==
      std::vector<std::string>{
          "$aws/events/thing/before/created", "$aws/events/thing/unfinished/created"}
  );
  CHECK(f.store.scan(keys::kRegistry, keys::events(), {}, 10)->empty());
}

TEST_CASE("logging options are kept") {
  Fixture f;
  auto& logging = f.registry.logging_options();
  CHECK(code_of(logging.get_v2({})) == Errc::kNotConfigured);
  CHECK(code_of(logging.list_levels({})) == Errc::kNotConfigured);
  REQUIRE(logging.set_v2(Fixture::request<api::SetV2LoggingOptionsRequest>(
      "role_arn: 'arn:aws:iam::1:role/r' default_log_level: 'WARN'"
  )));
  REQUIRE(logging.set_v2(Fixture::request<api::SetV2LoggingOptionsRequest>("disable_all_logs: true")
  ));
  const auto options = logging.get_v2({});
  REQUIRE(options);
  CHECK(options->role_arn() == "arn:aws:iam::1:role/r");
  CHECK(options->default_log_level() == "WARN");
  CHECK(options->disable_all_logs());
  for (const std::string event :
       {"event_type: ''",
        "event_type: 'e' log_destination: ''",
        "event_type: 'e' log_destination: 'a b'"}) {
    CHECK(
        code_of(logging.set_v2(Fixture::request<api::SetV2LoggingOptionsRequest>(
            "event_configurations { " + event + " }"
        ))) == Errc::kInvalidRequest
    );
  }
  REQUIRE(logging.set_v2(Fixture::request<api::SetV2LoggingOptionsRequest>(
      "event_configurations { event_type: 'Connect' log_destination: '/a/b-c_1.#' }"
  )));

  const auto set = [&](const std::string& text) {
    return logging.set_level(Fixture::request<api::SetV2LoggingLevelRequest>(text));
  };
  REQUIRE(set("log_target { target_type: 'THING_GROUP' target_name: 'g' } log_level: 'DEBUG'"));
  REQUIRE(set("log_target { target_type: 'CLIENT_ID' target_name: 'c' } log_level: 'ERROR'"));
  REQUIRE(set("log_target { target_type: 'DEFAULT' } log_level: 'INFO'"));
  CHECK(
      code_of(set("log_target { target_type: 'THING_GROUP' } log_level: 'DEBUG'")) ==
      Errc::kInvalidRequest
  );
  CHECK(logging.list_levels({})->log_target_configurations_size() == 3);
  const auto groups = logging.list_levels(
      Fixture::request<api::ListV2LoggingLevelsRequest>("target_type: 'THING_GROUP'")
  );
  REQUIRE(groups->log_target_configurations_size() == 1);
  CHECK(groups->log_target_configurations(0).log_target().target_name() == "g");
  CHECK(groups->log_target_configurations(0).log_level() == "DEBUG");
  REQUIRE(logging.delete_level(Fixture::request<api::DeleteV2LoggingLevelRequest>(
      "target_type: 'THING_GROUP' target_name: 'g'"
  )));
  CHECK(logging.list_levels({})->log_target_configurations_size() == 2);

  CHECK_FALSE(logging.get({})->has_role_arn());
  REQUIRE(logging.set(Fixture::request<api::SetLoggingOptionsRequest>(
      "logging_options_payload { role_arn: 'r' log_level: 'INFO' }"
  )));
  CHECK(logging.get({})->log_level() == "INFO");
}

}  // namespace
}  // namespace iotcore::registry
