// Runs histories of the whole broker, each made from its seed, and says how to repeat the first one that goes wrong.
#include "base/log.h"
#include "tests/simulation/history.h"

#include <fmt/core.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::simulation {
namespace {

constexpr std::uint64_t kAllSteps = 1'000'000;

struct Arguments {
  unsigned first = 1;
  unsigned count = 2000;
  unsigned seconds = 0;  // 0: as many as `count` says
  std::uint64_t steps = kAllSteps;
  bool trace = false;
};

struct Outcome {
  std::optional<std::string> violation;
  std::uint64_t fingerprint = 0;
};

Outcome run(unsigned seed, std::uint64_t steps, const History::Trace& trace) {
  History history(seed, steps, trace);
  Outcome outcome;
  try {
    history.run();
  } catch (const Violation& violation) {
    outcome.violation = violation.what();
  }
  outcome.fingerprint = history.fingerprint();
  return outcome;
}

// The shortest beginning of the history that still goes wrong, roughly.
std::uint64_t shorten(unsigned seed) {
  std::uint64_t good = 0;
  std::uint64_t bad = 1000;
  while (bad - good > 1) {
    const std::uint64_t middle = (good + bad) / 2;
    (run(seed, middle, nullptr).violation ? bad : good) = middle;
  }
  return bad;
}

int report(unsigned seed, std::uint64_t steps, bool traced) {
  const std::uint64_t enough = steps == kAllSteps ? shorten(seed) : steps;
  std::string log;
  const Outcome outcome = run(seed, enough, [&](const std::string& line) { log += line + '\n'; });
  fmt::print("{}", traced ? log : log.substr(log.size() - std::min<std::size_t>(log.size(), 4000)));
  fmt::print(
      "\nseed {} goes wrong: {}\nrepeat with: simulation --first {} --count 1 --steps {} --trace\n",
      seed,
      outcome.violation.value_or("not this time"),
      seed,
      enough
  );
  return 1;
}

Arguments parse(int count, char** values) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string_view name = values[i];
    if (name == "--trace") {
      arguments.trace = true;
      continue;
    }
    const unsigned long value = i + 1 < count ? std::strtoul(values[i + 1], nullptr, 10) : 0;
    ++i;
    if (name == "--first") {
      arguments.first = static_cast<unsigned>(value);
    } else if (name == "--count") {
      arguments.count = static_cast<unsigned>(value);
    } else if (name == "--seconds") {
      arguments.seconds = static_cast<unsigned>(value);
    } else if (name == "--steps") {
      arguments.steps = value;
    } else {
      fmt::print("simulation [--first SEED] [--count N | --seconds S] [--steps N] [--trace]\n");
      std::exit(2);
    }
  }
  return arguments;
}

int run_all(const Arguments& arguments) {
  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  unsigned done = 0;
  for (unsigned seed = arguments.first;; ++seed, ++done) {
    if (arguments.seconds == 0 ? done >= arguments.count : elapsed() >= arguments.seconds) {
      break;
    }
    const Outcome outcome = run(seed, arguments.steps, nullptr);
    if (outcome.violation || (arguments.trace && arguments.count == 1)) {
      return outcome.violation ? report(seed, arguments.steps, arguments.trace) : 0;
    }
    // A seed that does not give the same history twice is of no use.
    if (done % 100 == 0 && run(seed, arguments.steps, nullptr).fingerprint != outcome.fingerprint) {
      fmt::print("seed {} gives a different history each time\n", seed);
      return 1;
    }
  }
  fmt::print(
      "{} histories from seed {} in {:.1f} s, all as they should be\n",
      done,
      arguments.first,
      elapsed()
  );
  return 0;
}

}  // namespace
}  // namespace iotcore::simulation

int main(int count, char** values) {
  iotcore::configure_log(iotcore::LogLevel::kError, iotcore::LogFormat::kText);
  return iotcore::simulation::run_all(iotcore::simulation::parse(count, values));
}
