#include "registry/domain_table.h"

#include "base/thread_pool.h"
#include "registry/domain_configurations.h"
#include "registry/keys.h"
#include "registry/rows.h"
#include "tests/unit/registry/fixture.h"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <thread>

namespace iotcore::registry {
namespace {

TEST_CASE("authentication and protocol go together as AWS pairs them") {
  for (const auto& [authentication, protocol] : {
           std::pair{"DEFAULT", "DEFAULT"},
           {"AWS_X509", "SECURE_MQTT"},
           {"AWS_X509", "HTTPS"},
           {"AWS_SIGV4", "MQTT_WSS"},
           {"CUSTOM_AUTH", "MQTT_WSS"},
           {"CUSTOM_AUTH_X509", "HTTPS"},
           {"AWS_X509", ""},
           {"", "MQTT_WSS"},
           {"", ""},
       }) {
    INFO(authentication << ' ' << protocol);
    CHECK(check_domain_protocols(authentication, protocol));
  }
  for (const auto& [authentication, protocol] : {
           std::pair{"AWS_X509", "MQTT_WSS"},
           {"AWS_SIGV4", "SECURE_MQTT"},
           {"CUSTOM_AUTH_X509", "MQTT_WSS"},
           {"DEFAULT", "HTTPS"},
           {"AWS_X509", "DEFAULT"},
       }) {
    INFO(authentication << ' ' << protocol);
    CHECK_FALSE(check_domain_protocols(authentication, protocol));
  }
}

TEST_CASE("a host has what its configuration says, in any case of letters, from the change on") {
  Fixture f;
  api::CreateDomainConfigurationRequest create;
  create.set_domain_configuration_name("c");
  create.set_domain_name("Field.Example.com");
  create.set_authentication_type("CUSTOM_AUTH");
  create.set_application_protocol("SECURE_MQTT");
  REQUIRE(f.registry.domain_configurations().create(create));
  const DomainTable& domains = f.registry.domains();
  CHECK(domains.find("FIELD.example.com") != nullptr);
  CHECK(domains.find("") == nullptr);
  CHECK(domains.admit("field.example.com", Entrance::kMqtt).value() == Authentication::kCustom);
  CHECK(domains.admit("other.example.com", Entrance::kHttps).value() == Authentication::kDefault);
  CHECK_FALSE(domains.admit("field.example.com", Entrance::kWebSocket));
  CHECK_FALSE(domains.admit("field.example.com", Entrance::kHttps));
  api::UpdateDomainConfigurationRequest update;
  update.set_domain_configuration_name("c");
  update.set_domain_configuration_status("DISABLED");
  REQUIRE(f.registry.domain_configurations().update(update));
  const auto refused = domains.admit("field.example.com", Entrance::kMqtt);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().details().front().second == "DOMAIN_CONFIGURATION_DISABLED");
}

TEST_CASE("one host has one configuration, however many are made at once") {
  const ManualClock clock(from_epoch_ms(1'700'000'000'000));
  Options options;
  options.limits.domain_configurations_max = kDomainConfigurationsMax;
  store::MemoryStore store;
  Quota quota(store, keys::kPrincipals, keys::domain_configurations(), 100, "configurations");
  auto pool = std::make_unique<ThreadPool>("test", 1);
  DomainTable table(store, *pool);
  DomainConfigurations configurations(store, clock, options, quota, table);
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> made = 0;
    std::array<std::thread, 2> threads;
    for (std::size_t i = 0; i < threads.size(); ++i) {
      threads[i] = std::thread([&configurations, &made, round, i] {
        api::CreateDomainConfigurationRequest create;
        create.set_domain_configuration_name("c" + std::to_string(round) + "-" + std::to_string(i));
        create.set_domain_name("h" + std::to_string(round) + ".example.com");
        made += configurations.create(create).has_value() ? 1 : 0;
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(made == 1);
  }
  pool.reset();  // before the table, which it tells of changes
}

TEST_CASE("configurations of domains are bounded, and AWS's own stay") {
  Options options = Fixture::fast_options();
  options.limits.domain_configurations_max = kDomainConfigurationsMax;
  Fixture f(options);
  store::Batch batch;
  for (std::size_t i = 0; i + 1 < kDomainConfigurationsMax; ++i) {
    batch.put(
        keys::kPrincipals,
        keys::domain_configuration("d" + std::to_string(i)),
        to_row(record::DomainConfiguration())
    );
  }
  REQUIRE(f.store.commit_wait(std::move(batch)));
  api::CreateDomainConfigurationRequest create;
  create.set_domain_configuration_name("last");
  CHECK(f.registry.domain_configurations().create(create));
  create.set_domain_configuration_name("beyond");
  CHECK(f.registry.domain_configurations().create(create).error().code() == Errc::kLimitExceeded);
  api::DeleteDomainConfigurationRequest remove;
  remove.set_domain_configuration_name("iot:Data-ATS");
  CHECK(f.registry.domain_configurations().remove(remove).error().code() == Errc::kInvalidRequest);
}

TEST_CASE("AWS's own configurations stand behind the others, and pages hold what was asked for") {
  Fixture f;
  for (const char* name : {"a", "b", "z"}) {
    api::CreateDomainConfigurationRequest create;
    create.set_domain_configuration_name(name);
    REQUIRE(f.registry.domain_configurations().create(create));
  }
  for (const int size : {1, 2, 3, 4, 7, 250}) {
    std::vector<std::string> names;
    api::ListDomainConfigurationsRequest list;
    list.set_page_size(size);
    while (true) {
      const auto page = f.registry.domain_configurations().list(list);
      REQUIRE(page);
      CHECK(page->domain_configurations_size() <= size);
      for (const auto& each : page->domain_configurations()) {
        names.push_back(each.domain_configuration_name());
      }
      if (!page->has_next_marker()) {
        break;
      }
      list.set_marker(page->next_marker());
    }
    CHECK(
        names ==
        std::vector<std::string>{
            "a", "b", "z", "iot:Data-ATS", "iot:Data", "iot:CredentialProvider", "iot:Jobs"}
    );
  }
}

}  // namespace
}  // namespace iotcore::registry
