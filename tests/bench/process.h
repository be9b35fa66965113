#pragma once

#include <cstdint>

namespace iotcore::bench {

// Seconds of CPU that a process has used, in user and kernel mode, over all its threads, dead ones
// included; the kernel's own count in nanoseconds, as the ticks of /proc are too coarse for a run
// of 50 ms. NaN when there is no such process.
double cpu_seconds(std::uint32_t pid);
double own_cpu_seconds();

struct Memory {
  double rss_kib = 0;
  double pss_kib = 0;
  double own_kib = 0;  // of pss_kib what is in no file: not what the kernel drops of a program that has gone quiet
};

// From /proc; NaN when it cannot be read.
Memory memory_of(std::uint32_t pid);

std::uint64_t now_ns();
void sleep_s(double seconds);

}  // namespace iotcore::bench
