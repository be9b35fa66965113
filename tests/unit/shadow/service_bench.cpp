#include "tests/unit/shadow/service_fixture.h"

#include <catch2/catch.hpp>

#include <cstdio>
#include <ctime>
#include <string>

namespace iotcore::shadow {
namespace {

using test::ServiceFixture;

double cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

// Wants answers and drops them.
class Listener final : public broker::MessageConsumer {
 public:
  void on_message(broker::PublishContext& context) override {
    bytes += context.publish().payload.size();
  }

  std::size_t bytes = 0;
};

std::string document() {
  std::string members;
  for (int i = 0; i < 20; ++i) {
    members += (i == 0 ? "\"sensor" : ",\"sensor") + std::to_string(i) +
               R"(":{"value":21.5,"unit":"celsius","on":true})";
  }
  return R"({"state":{"reported":{)" + members + "}}}";
}

// From the publish to the answer of the requester, without sockets and with the store in memory.
TEST_CASE("Time of a shadow request by topic", "[.bench]") {
  constexpr int kThings = 10'000;
  constexpr int kTurn = 50;  // requests of one turn
  for (const char* filter : {"$aws/things/+/shadow/update/accepted", "$aws/things/#"}) {
    ServiceFixture f(1, {}, nullptr, false);
    Listener listener;
    f.broker.add_consumer(filter, listener);
    const auto run = [&](const char* what, const std::string& operation, const std::string& payload
                     ) {
      const double start = cpu_us();
      for (int i = 0; i < kThings; ++i) {
        f.publish("$aws/things/thing-" + std::to_string(i) + "/shadow/" + operation, payload);
        if (i % kTurn == 0) {
          f.settle();
        }
      }
      f.settle();
      std::printf("%-40s %-28s %7.2f us\n", filter, what, (cpu_us() - start) / kThings);
    };
    run("first update, 1 KB", "update", document());
    run("update of all, 1 KB", "update", document());
    run("update of one member", "update", R"({"state":{"reported":{"sensor3":{"value":7}}}})");
    run("get", "get", "");
    const std::string metrics = f.metrics.to_text();
    const std::size_t at = metrics.find("\niotcore_shadow_cache_bytes ");
    std::printf("bytes per cached shadow: %.0f\n", std::stod(metrics.substr(at + 28)) / kThings);
    CHECK(listener.bytes != 0);
  }
}

}  // namespace
}  // namespace iotcore::shadow
