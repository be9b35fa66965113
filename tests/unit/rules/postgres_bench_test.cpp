#include "base/clock.h"
#include "rules/action.h"
#include "rules/targets.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <cstdlib>
#include <vector>

namespace iotcore::rules {
namespace {

// Rows a second into a server on the port in IOTCORE_POSTGRES_PORT: unit_rules "postgres: rows a second"
TEST_CASE("postgres: rows a second", "[.bench]") {
  const char* port = std::getenv("IOTCORE_POSTGRES_PORT");
  REQUIRE(port != nullptr);
  Targets targets;
  REQUIRE(targets.replace(
      "test",
      {{"db",
        "postgres",
        {{"host", "127.0.0.1"}, {"port", std::atoi(port)}, {"dbname", "postgres"}, {"user", "iot"}},
        "",
        ""}}
  ));
  SinkEnvironment environment;
  environment.targets = &targets;
  environment.outbox_id = "bench";
  const auto sink = find_action_kind("postgres")->make_sink("db", environment).value();
  constexpr std::size_t kBatch = 500;
  constexpr std::size_t kBatches = 400;
  const auto run = [&](std::string_view table, std::string_view conflict, std::uint64_t first) {
    const SystemClock clock;
    const MonotonicTime begin = clock.now();
    for (std::size_t i = 0; i < kBatches; ++i) {
      std::vector<Record> records(kBatch);
      std::vector<const Record*> batch;
      for (std::size_t n = 0; n < kBatch; ++n) {
        Record& record = records[n];
        record.sequence = first + i * kBatch + n;
        record.fields = {"table", std::string(table), std::string(conflict), ""};
        record.payload = fmt::format(
            R"({{"id":{},"device":"machine-{}","temp":{}.5,"ok":true,"note":"some text of thirty bytes"}})",
            record.sequence,
            n,
            n
        );
        batch.push_back(&record);
      }
      std::vector<Outcome> outcomes(kBatch);
      sink->deliver(batch, outcomes);
      REQUIRE(outcomes.back().reason.empty());
    }
    const double seconds = std::chrono::duration<double>(clock.now() - begin).count();
    WARN(fmt::format("{}: {:.0f} rows/s", table, static_cast<double>(kBatch * kBatches) / seconds));
  };
  run("appended", "", 1);
  run("upserted", "id", 1'000'000);
}

}  // namespace
}  // namespace iotcore::rules
