// Hidden: unit_rules "[.bench]". Figures mean something in a release build only.
#include "base/log.h"
#include "tests/unit/rules/engine_fixture.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <time.h>

namespace iotcore::rules {
namespace {

using broker::Qos;
using test::EngineFixture;

// CPU time, not wall time: others may be busy on the machine.
double cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

double publish_us(EngineFixture& fixture, test::TestClient& device) {
  constexpr int kTimes = 2000;
  double best = 1e12;
  for (int round = 0; round < 10; ++round) {
    const double begin = cpu_us();
    for (int i = 0; i < kTimes; ++i) {
      fixture.publish(
          device, "plant/m0/t", R"({"temp": 20, "state": "running"})", Qos::kAtMostOnce
      );
    }
    best = std::min(best, (cpu_us() - begin) / kTimes);
  }
  return best;
}

TEST_CASE("What many rules cost a message that one of them concerns", "[.bench]") {
  configure_log(LogLevel::kError, LogFormat::kText);
  EngineFixture fixture;
  auto& device = fixture.connected("d");
  std::printf("%-58s %8.2f us\n", "publish, no rule", publish_us(fixture, device));
  const auto add = [&fixture](int i) {
    fixture.create(
        fmt::format("r{}", i), fmt::format("SELECT * FROM 'plant/m{}/t' WHERE temp > 80", i), "[]"
    );
  };
  add(0);
  std::printf("%-58s %8.2f us\n", "publish, one rule, no match", publish_us(fixture, device));
  constexpr int kRules = 10'000;
  const double begin = cpu_us();
  for (int i = 1; i < kRules; ++i) {
    add(i);
  }
  std::printf("%-58s %8.2f us\n", "adding a rule, of 10,000", (cpu_us() - begin) / kRules);
  std::printf(
      "%-58s %8.2f us\n", "publish, 10,000 rules, one concerned", publish_us(fixture, device)
  );
}

void bench_sink(
    const char* what,
    const std::string& sink_id,
    std::size_t batch_size,
    std::vector<std::string> fields
) {
  test::TempFolder folder;
  SinkEnvironment environment;
  environment.folder = folder.path();
  environment.outbox_id = "bench";
  const std::unique_ptr<Sink> sink = make_sink(sink_id, environment).value();
  constexpr std::size_t kBatches = 40;
  std::vector<Record> records(batch_size);
  std::vector<const Record*> batch;
  for (Record& record : records) {
    record.rule = "bench";
    record.fields = fields;
    record.payload =
        R"({"machine":"press-17","ts":1700000000123,"temperature":71.375,"state":"running"})";
    batch.push_back(&record);
  }
  std::uint64_t sequence = 0;
  double cpu = 0;
  double wall = 0;
  for (std::size_t i = 0; i < kBatches; ++i) {
    for (Record& record : records) {
      record.sequence = ++sequence;
    }
    std::vector<Outcome> outcomes(batch_size);
    const double cpu_begin = cpu_us();
    const auto begin = std::chrono::steady_clock::now();
    sink->deliver(batch, outcomes);
    wall += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    cpu += (cpu_us() - cpu_begin) / 1e6;
    REQUIRE(outcomes.back().kind == Outcome::Kind::kDelivered);
  }
  std::printf(
      "%-58s %8.2f us of CPU a record, %.0f k/s of time\n",
      what,
      cpu * 1e6 / static_cast<double>(batch_size * kBatches),
      static_cast<double>(batch_size * kBatches) / wall / 1e3
  );
}

TEST_CASE("What sinks take, synced after each batch", "[.bench]") {
  bench_sink("file, JSON lines, batches of 10,000", "file bench.jsonl", 10'000, {"json", "0"});
  bench_sink("file, JSON lines, batches of 1,000", "file small.jsonl", 1000, {"json", "0"});
  bench_sink(
      "sqlite, a table of four columns, batches of 5,000",
      "sqlite bench.db",
      5000,
      {"table", "readings"}
  );
}

}  // namespace
}  // namespace iotcore::rules
