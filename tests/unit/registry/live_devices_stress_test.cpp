#include "base/thread_pool.h"
#include "registry/device_permissions.h"
#include "tests/unit/registry/fixture.h"

#include <atomic>
#include <barrier>
#include <memory>
#include <thread>

namespace iotcore::registry {
namespace {

constexpr std::size_t kPoolThreads = 3;

// Returns when the pool has done everything posted before.
void wait_for(ThreadPool& pool) {
  // Second owner: the task that leaves the barrier last.
  const auto all_here =
      std::make_shared<std::barrier<>>(static_cast<std::ptrdiff_t>(kPoolThreads + 1));
  for (std::size_t i = 0; i < kPoolThreads; ++i) {
    pool.post([all_here] { all_here->arrive_and_wait(); });
  }
  all_here->arrive_and_wait();
}

// Connections come, decide and go on their workers while an operator changes the policy, the thing and the certificate. Afterwards, what is still
// connected decides by what stands at the end.
TEST_CASE("rights stay right while everything changes at once") {
  const SystemClock clock;
  store::MemoryStore store;
  ThreadPool pool("blocking", kPoolThreads);
  Registry registry(store, clock, Fixture::fast_options(), test_authority(), pool);
  Metrics metrics;
  Counter& denied = metrics.counter("denied", "");
  std::atomic<int> revoked = 0;
  registry.devices().on_revoked([&revoked](const std::string&) { ++revoked; });

  const auto request = []<typename R>(R, const std::string& text) {
    return Fixture::request<R>(text);
  };
  const auto certificate = registry.certificates().create_keys(
      request(api::CreateKeysAndCertificateRequest(), "set_as_active: true")
  );
  const std::string id = certificate->certificate_id();
  const std::string arn = certificate->certificate_arn();
  for (const char* name : {"even", "odd"}) {
    api::CreatePolicyRequest create;
    create.set_policy_name(name);
    create.set_policy_document(allow("iot:*", std::string(kArn) + "topic/" + name));
    REQUIRE(registry.policies().create(create));
  }
  REQUIRE(registry.things().create(request(api::CreateThingRequest(), "thing_name: 't0'")));
  REQUIRE(registry.thing_principals().attach(
      request(api::AttachThingPrincipalRequest(), "thing_name: 't0' principal: '" + arn + "'")
  ));

  std::atomic<bool> stop = false;
  std::vector<std::unique_ptr<DevicePermissions>> kept(4);
  std::vector<std::thread> workers;
  for (std::size_t w = 0; w < kept.size(); ++w) {
    workers.emplace_back([&, w] {
      do {
        DeviceFacts facts;
        facts.certificate_id = id;
        facts.client_id = "t" + std::to_string(w);
        auto device = registry.devices().open(facts);
        if (device) {
          auto permissions = std::make_unique<DevicePermissions>(*std::move(device), denied);
          for (int i = 0; i < 50; ++i) {
            permissions->allows(broker::Action::kPublish, "even", stable_hash("even"));
            permissions->allows(broker::Action::kReceive, "odd", stable_hash("odd"));
          }
          kept[w] = std::move(permissions);
        }
      } while (!stop || kept[w] == nullptr);
    });
  }
  const auto attach = [&](const std::string& policy) {
    REQUIRE(registry.policy_attachments().attach(
        request(api::AttachPolicyRequest(), "policy_name: '" + policy + "' target: '" + arn + "'")
    ));
  };
  const auto detach = [&](const std::string& policy) {
    REQUIRE(registry.policy_attachments().detach(
        request(api::DetachPolicyRequest(), "policy_name: '" + policy + "' target: '" + arn + "'")
    ));
  };
  const auto set_status = [&](const std::string& status) {
    REQUIRE(registry.certificates().update(request(
        api::UpdateCertificateRequest(), "certificate_id: '" + id + "' new_status: '" + status + "'"
    )));
  };
  for (int round = 0; round < 100; ++round) {
    attach(round % 2 == 0 ? "even" : "odd");
    detach(round % 2 == 0 ? "odd" : "even");
    REQUIRE(registry.things().update(request(api::UpdateThingRequest(), "thing_name: 't0'")));
    if (round % 10 == 0) {
      set_status("INACTIVE");
      set_status("ACTIVE");
    }
  }
  stop = true;
  for (std::thread& worker : workers) {
    worker.join();
  }
  wait_for(pool);
  for (const auto& permissions : kept) {
    CHECK_FALSE(permissions->allows(broker::Action::kPublish, "even", stable_hash("even")));
    CHECK(permissions->allows(broker::Action::kPublish, "odd", stable_hash("odd")));
  }
  CHECK(kept[0]->thing_name() == "t0");
  CHECK(kept[1]->thing_name().empty());

  set_status("INACTIVE");
  wait_for(pool);
  const int cut = revoked;
  CHECK(cut >= 1);
  for (const auto& permissions : kept) {
    CHECK_FALSE(permissions->allows(broker::Action::kPublish, "odd", stable_hash("odd")));
  }
  kept.clear();
  set_status("ACTIVE");
  wait_for(pool);
}

}  // namespace
}  // namespace iotcore::registry
