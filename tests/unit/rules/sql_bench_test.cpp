// Hidden: unit_rules "[.bench]". Figures mean something in a release build only.
#include "rules/sql/evaluation.h"
#include "tests/unit/rules/sql_support.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <time.h>

namespace iotcore::rules::sql {
namespace {

constexpr std::string_view kReading =
    R"({"machine":"press-17","line":"hall-3","site":"leipzig","ts":1700000000123,"seq":48213,)"
    R"("temperature":71.375,"humidity":38.25,"pressure":1013.2,"vibration":{"x":0.0132,"y":0.0177,"z":0.0411,"rms":0.0452},)"
    R"("power":{"voltage":[229.8,230.1,230.4],"current":[4.12,4.08,4.19],"factor":0.93},"state":"running","alarm":false,)"
    R"("firmware":"2.14.7","operator":null,"tags":["press","hydraulic","critical"],"position":{"lat":51.339695,"lon":12.373075},)"
    R"("counters":{"cycles":1843221,"rejects":317,"stops":12}})";

// CPU time, not wall time: others may be busy on the machine.
double cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

template <typename F>
void report(const char* what, F f) {
  double best = 1e12;
  for (int round = 0; round < 50; ++round) {
    constexpr int kTimes = 2'000;
    const double begin = cpu_ns();
    for (int i = 0; i < kTimes; ++i) {
      f();
    }
    best = std::min(best, (cpu_ns() - begin) / kTimes);
  }
  std::printf("%-58s %8.0f ns\n", what, best);
}

TEST_CASE("What an evaluation costs", "[.bench]") {
  std::printf("payload: %zu bytes\n", kReading.size());
  NoExternalFunctions external;
  CountingRandom random;
  MessageView message;
  message.topic = "plant/press-17/telemetry";
  std::size_t sum = 0;
  const auto run = [&](const Program& program, ParsedPayload& payload) {
    Evaluation evaluation(program, message, payload, external, random);
    const auto output = evaluation.run();
    sum += *output ? (*output)->view().size() : 1;
  };
  const auto bench = [&](const char* what, std::string_view sql) {
    const auto program = compile(sql, Version::k2016_03_23);
    REQUIRE(program.has_value());
    ParsedPayload payload;
    report(what, [&] {
      payload.reset(kReading);
      run(*program, payload);
    });
  };
  ParsedPayload parsed;
  report("parse", [&] {
    parsed.reset(kReading);
    sum += parsed.is_json() ? 1 : 0;
  });
  bench("WHERE on the topic, no match", "SELECT * FROM 'a' WHERE topic(2) = 'x'");
  bench(
      "WHERE on two fields, no match",
      "SELECT * FROM 'a' WHERE temperature > 80 AND state = 'running'"
  );
  bench(
      "WHERE on two fields, match, SELECT *",
      "SELECT * FROM 'a' WHERE temperature > 70 AND state = 'running'"
  );
  bench(
      "ten fields",
      "SELECT machine, line, ts, temperature, humidity, vibration.rms AS rms, power.factor AS pf, "
      "state, "
      "counters.cycles AS cycles, position FROM 'a'"
  );
  bench("SELECT *, two items", "SELECT *, topic(2) AS machine, timestamp() AS at FROM 'a'");
  bench("arithmetic", "SELECT (temperature - 32) * 5 / 9 AS c FROM 'a'");
  bench("subquery", "SELECT (SELECT VALUE i * 2 FROM power.voltage AS i) AS v FROM 'a'");
  const auto filter = compile(
      "SELECT * FROM 'a' WHERE temperature > 80 AND state = 'running'", Version::k2016_03_23
  );
  parsed.reset(kReading);
  report("WHERE on two fields, payload parsed before", [&] { run(*filter, parsed); });
  const auto text = compile_template("${topic(2)}/${machine}/${ts}", *filter);
  report("template of three parts, payload parsed before", [&] {
    Evaluation evaluation(*filter, message, parsed, external, random);
    sum += evaluation.render(*text)->size();
  });
  CHECK(sum > 0);
}

}  // namespace
}  // namespace iotcore::rules::sql
