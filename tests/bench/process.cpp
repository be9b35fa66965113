#include "tests/bench/process.h"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <string>
#include <time.h>

namespace iotcore::bench {
namespace {

double seconds_of(clockid_t clock) {
  timespec t = {};
  if (::clock_gettime(clock, &t) != 0) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

}  // namespace

double cpu_seconds(std::uint32_t pid) {
  clockid_t clock = 0;
  if (pid == 0 || ::clock_getcpuclockid(static_cast<pid_t>(pid), &clock) != 0) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return seconds_of(clock);
}

double own_cpu_seconds() {
  return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

Memory memory_of(std::uint32_t pid) {
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  Memory memory = {kUnknown, kUnknown, kUnknown};
  std::ifstream file(fmt::format("/proc/{}/smaps_rollup", pid));
  std::string word;
  while (pid != 0 && file >> word) {
    if (word == "Rss:") {
      file >> memory.rss_kib;
    } else if (word == "Pss:") {
      file >> memory.pss_kib;
    } else if (word == "Pss_Anon:") {
      file >> memory.own_kib;
    }
  }
  return memory;
}

std::uint64_t now_ns() {
  timespec t = {};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(t.tv_nsec);
}

void sleep_s(double seconds) {
  if (seconds <= 0) {
    return;
  }
  const auto whole = std::floor(seconds);
  timespec t = {static_cast<time_t>(whole), static_cast<long>((seconds - whole) * 1e9)};
  while (::nanosleep(&t, &t) != 0) {
  }
}

}  // namespace iotcore::bench
