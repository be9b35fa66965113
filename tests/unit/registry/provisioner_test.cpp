#include "registry/provisioning/provisioner.h"

#include "store/forwarding_store.h"
#include "tests/unit/registry/fixture.h"

#include <fmt/format.h>

#include <utility>

namespace iotcore::registry::provisioning {
namespace {

// A store one of whose commits fails.
class FailingStore final : public store::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  void commit(store::Batch batch, Executor* on, store::CommitDone done) override {
    if (++commits_ != failing_) {
      inner().commit(std::move(batch), on, std::move(done));
      return;
    }
    REQUIRE(on == nullptr);
    done(fail(Errc::kStoreIo, "the disk is broken"));
  }

  // The n-th from now on, the first is 1.
  void fail_at(int n) { failing_ = commits_ + n; }

 private:
  int commits_ = 0;
  int failing_ = 0;
};

// A thing with all that a template can change, and a certificate.
struct World {
  World() : registry(failing, clock, Fixture::fast_options(), test_authority(), pool) {
    for (const char* type : {"lamp", "sensor"}) {
      api::CreateThingTypeRequest create;
      create.set_thing_type_name(type);
      REQUIRE(registry.thing_types().create(create));
    }
    for (const char* group : {"old", "kept", "new"}) {
      api::CreateThingGroupRequest create;
      create.set_thing_group_name(group);
      REQUIRE(registry.thing_groups().create(create));
    }
    REQUIRE(registry.dynamic_groups().create(Fixture::request<api::CreateDynamicThingGroupRequest>(
        "thing_group_name: 'dynamic' query_string: 'thingName:t'"
    )));
    pool.run();
    REQUIRE(registry.things().create(Fixture::request<api::CreateThingRequest>(
        "thing_name: 't' thing_type_name: 'lamp' "
        "attribute_payload { attributes { key: 'site' value: 'north' } }"
    )));
    REQUIRE(registry.group_members().update(Fixture::request<api::UpdateThingGroupsForThingRequest>(
        "thing_name: 't' thing_groups_to_add: ['old', 'kept']"
    )));
    const auto made = registry.certificates().create_keys({});
    REQUIRE(made);
    certificate = {made->certificate_id(), made->certificate_arn()};
  }

  // What there is, but for versions.
  std::string state(const std::string& thing) {
    std::string out;
    api::DescribeThingRequest describe;
    describe.set_thing_name(thing);
    if (const auto found = registry.things().describe(describe)) {
      out += found->thing_type_name();
      const std::map<std::string, std::string> attributes(
          found->attributes().begin(), found->attributes().end()
      );
      for (const auto& [name, value] : attributes) {
        out += fmt::format(" {}={}", name, value);
      }
      api::ListThingGroupsForThingRequest groups;
      groups.set_thing_name(thing);
      const auto listed = registry.group_members().list_groups(groups);
      REQUIRE(listed);
      for (const auto& group : listed->thing_groups()) {
        out += " in " + group.group_name();
      }
    }
    const auto link = registry.thing_principals().find(thing, certificate.second).value();
    out += !link ? " loose" : link->exclusive() ? " exclusive" : " attached";
    out += registry.policy_attachments().is_attached("made", certificate.second).value()
               ? " with policy"
               : "";
    api::GetPolicyRequest policy;
    policy.set_policy_name("made");
    out += registry.policies().get(policy) ? " policy" : "";
    api::DescribeCertificateRequest status;
    status.set_certificate_id(certificate.first);
    const auto described = registry.certificates().describe(status);
    REQUIRE(described);
    out += " " + described->certificate_description().status();
    return out;
  }

  Resources wanted(const std::string& thing) const {
    Resources out;
    out.thing.emplace();
    out.thing->logical_name = "thing";
    out.thing->name = thing;
    out.thing->type = "sensor";
    out.thing->attributes = std::map<std::string, std::string>{{"site", "south"}, {"floor", "2"}};
    out.thing->groups = std::vector<std::string>{"kept", "new"};
    out.thing->attributes_override = Override::kReplace;
    out.thing->type_override = Override::kReplace;
    out.thing->groups_override = Override::kReplace;
    out.certificate.logical_name = "certificate";
    out.certificate.id = certificate.first;
    out.certificate.exclusive = true;
    out.policies.push_back({"policy", "made", allow("iot:Connect", "*")});
    return out;
  }

  ManualClock clock{SystemClock().wall()};
  ManualExecutor pool;
  store::MemoryStore rows;
  FailingStore failing{rows};
  Registry registry;
  std::pair<std::string, std::string> certificate;  // id and ARN
};

// How many steps there are to fail at.
int fail_each_step(World& world, const std::string& thing, const std::string& after) {
  const std::string before = world.state(thing);
  for (int n = 1;; ++n) {
    INFO("commit " << n);
    world.failing.fail_at(n);
    if (world.registry.provisioner().apply(world.wanted(thing))) {
      world.failing.fail_at(0);
      CHECK(world.state(thing) == after);
      return n - 1;
    }
    REQUIRE(world.state(thing) == before);
  }
}

TEST_CASE("whichever step of a template fails, a thing that was there is as before") {
  World world;
  CHECK(world.state("t") == "lamp site=north in dynamic in kept in old loose INACTIVE");
  const int steps = fail_each_step(
      world,
      "t",
      "sensor floor=2 site=south in dynamic in kept in new exclusive with policy policy ACTIVE"
  );
  CHECK(steps == 6);
}

TEST_CASE("whichever step of a template fails, a thing that was not there is not there") {
  World world;
  const int steps = fail_each_step(
      world, "u", "sensor floor=2 site=south in kept in new exclusive with policy policy ACTIVE"
  );
  CHECK(steps == 6);
}

TEST_CASE("an attachment that a template makes exclusive is not when it fails") {
  World world;
  api::AttachThingPrincipalRequest attach;
  attach.set_thing_name("t");
  attach.set_principal(world.certificate.second);
  REQUIRE(world.registry.thing_principals().attach(attach));
  fail_each_step(
      world,
      "t",
      "sensor floor=2 site=south in dynamic in kept in new exclusive with policy policy ACTIVE"
  );
}

}  // namespace
}  // namespace iotcore::registry::provisioning
