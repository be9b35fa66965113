#include "registry/quotas.h"

#include "registry/keys.h"
#include "registry/rows.h"
#include "store/fault_store.h"
#include "store/forwarding_store.h"
#include "tests/unit/registry/fixture.h"

#include <array>
#include <atomic>
#include <thread>

namespace iotcore::registry {
namespace {

class CountedScans final : public store::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  Result<std::vector<store::Entry>> scan(
      store::Table table, std::string_view prefix, std::string_view from, std::size_t limit
  ) override {
    ++scans;
    return inner().scan(table, prefix, from, limit);
  }

  std::atomic<int> scans = 0;
};

struct QuotaFixture {
  Status add(const std::string& name) {
    return quota.add([&] {
      store::Batch batch;
      batch.expect_absent(keys::kPrincipals, keys::role_alias(name));
      batch.put(keys::kPrincipals, keys::role_alias(name), {});
      return commit(faults, std::move(batch));
    });
  }

  Status remove(const std::string& name) {
    return quota.remove([&] {
      store::Batch batch;
      batch.erase(keys::kPrincipals, keys::role_alias(name));
      return commit(faults, std::move(batch));
    });
  }

  store::MemoryStore rows;
  store::FaultStore faults{rows};
  CountedScans store{faults};
  Quota quota{store, keys::kPrincipals, store::Key('l'), 3, "role aliases"};
};

TEST_CASE("a quota counts once what is there, and then what comes and goes") {
  QuotaFixture f;
  store::Batch batch;
  batch.put(keys::kPrincipals, keys::role_alias("a"), {});
  REQUIRE(f.rows.commit_wait(std::move(batch)));
  CHECK(f.add("b"));
  CHECK(f.add("c"));
  const Status beyond = f.add("d");
  REQUIRE_FALSE(beyond);
  CHECK(beyond.error().code() == Errc::kLimitExceeded);
  CHECK(beyond.error().message() == "There can be at most 3 role aliases");
  CHECK(f.remove("a"));
  CHECK(f.add("d"));
  CHECK_FALSE(f.add("e"));
  CHECK(f.store.scans == 1);
}

TEST_CASE("what was not made does not count, and what may have been made is counted anew") {
  QuotaFixture f;
  REQUIRE(f.add("a"));
  for (int i = 0; i < 5; ++i) {
    CHECK(f.add("a").error().code() == Errc::kRevisionConflict);
  }
  CHECK(f.store.scans == 1);
  f.faults.break_writes(Error(Errc::kStoreIo, "broken"));
  for (int i = 0; i < 5; ++i) {
    CHECK_FALSE(f.add("b"));
    CHECK_FALSE(f.remove("a"));
  }
  f.faults.mend();
  CHECK(f.add("b"));
  CHECK(f.add("c"));
  CHECK(f.add("d").error().code() == Errc::kLimitExceeded);
  f.quota.forget();
  CHECK(f.add("d").error().code() == Errc::kLimitExceeded);
}

TEST_CASE("many at once do not get beyond a quota") {
  QuotaFixture f;
  std::atomic<int> made = 0;
  std::array<std::thread, 4> threads;
  for (std::size_t i = 0; i < threads.size(); ++i) {
    threads[i] = std::thread([&f, &made, i] {
      for (int n = 0; n < 20; ++n) {
        made += f.add(std::to_string(i) + "-" + std::to_string(n)) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(made == 3);
}

TEST_CASE("kinds of resources are bounded by the account's limits, and room comes back") {
  Options options = Fixture::fast_options();
  options.limits.role_aliases_max = 1;
  options.limits.templates_max = 1;
  options.limits.thing_types_max = 1;
  options.limits.groups_max = 1;
  options.limits.billing_groups_max = 1;
  options.limits.policies_max = 1;
  options.limits.authorizers_max = 1;
  options.limits.type_deletion_wait = std::chrono::milliseconds(0);
  Fixture f(options);
  Registry& r = f.registry;
  const auto bounded = [](auto&& create, auto&& remove) {
    REQUIRE(create("a"));
    CHECK(code_of(create("b")) == Errc::kLimitExceeded);
    REQUIRE(remove("a"));
    REQUIRE(create("b"));
  };
  bounded(
      [&](const std::string& name) {
        return r.role_aliases().create(Fixture::request<api::CreateRoleAliasRequest>(
            "role_alias: '" + name + "' role_arn: 'arn:aws:iam::000000000000:role/r'"
        ));
      },
      [&](const std::string& name) {
        return r.role_aliases().remove(
            Fixture::request<api::DeleteRoleAliasRequest>("role_alias: '" + name + "'")
        );
      }
  );
  bounded(
      [&](const std::string& name) {
        return r.thing_groups().create(
            Fixture::request<api::CreateThingGroupRequest>("thing_group_name: '" + name + "'")
        );
      },
      [&](const std::string& name) {
        return r.thing_groups().remove(
            Fixture::request<api::DeleteThingGroupRequest>("thing_group_name: '" + name + "'")
        );
      }
  );
  bounded(
      [&](const std::string& name) {
        return r.billing_groups().create(
            Fixture::request<api::CreateBillingGroupRequest>("billing_group_name: '" + name + "'")
        );
      },
      [&](const std::string& name) {
        return r.billing_groups().remove(
            Fixture::request<api::DeleteBillingGroupRequest>("billing_group_name: '" + name + "'")
        );
      }
  );
  bounded(
      [&](const std::string& name) { return f.create_policy(name, allow("iot:Connect", "*")); },
      [&](const std::string& name) {
        return r.policies().remove(
            Fixture::request<api::DeletePolicyRequest>("policy_name: '" + name + "'")
        );
      }
  );
  bounded(
      [&](const std::string& name) {
        return r.thing_types().create(
            Fixture::request<api::CreateThingTypeRequest>("thing_type_name: '" + name + "'")
        );
      },
      [&](const std::string& name) {
        REQUIRE(r.thing_types().deprecate(
            Fixture::request<api::DeprecateThingTypeRequest>("thing_type_name: '" + name + "'")
        ));
        return r.thing_types().remove(
            Fixture::request<api::DeleteThingTypeRequest>("thing_type_name: '" + name + "'")
        );
      }
  );
  REQUIRE(r.wipe());
  CHECK(f.create_policy("c", allow("iot:Connect", "*")));
}

}  // namespace
}  // namespace iotcore::registry
