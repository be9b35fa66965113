#include "base/clock.h"
#include "rules/action.h"
#include "rules/targets.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <cstdlib>
#include <time.h>
#include <vector>

namespace iotcore::rules {
namespace {

// CPU time of this process; the server's is another's.
double cpu_s() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

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
  constexpr std::size_t kBatch = 5000;
  constexpr std::size_t kBatches = 40;
  const auto run = [&](std::string_view table, std::string_view conflict, std::uint64_t first) {
    const SystemClock clock;
    double seconds = 0;
    double cpu = 0;
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
      const MonotonicTime begin = clock.now();
      const double cpu_begin = cpu_s();
      sink->deliver(batch, outcomes);
      cpu += cpu_s() - cpu_begin;
      seconds += std::chrono::duration<double>(clock.now() - begin).count();
      REQUIRE(outcomes.back().reason.empty());
    }
    constexpr auto kRows = static_cast<double>(kBatch * kBatches);
    WARN(fmt::format(
        "{}: {:.0f} rows/s, {:.2f} us of CPU a row here", table, kRows / seconds, cpu / kRows * 1e6
    ));
  };
  run("appended", "", 1);
  run("upserted", "id", 1'000'000);
}

}  // namespace
}  // namespace iotcore::rules
