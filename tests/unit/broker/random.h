#pragma once

#include <random>

namespace iotcore::broker {

// Small random numbers that are the same in every run.
class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}

  // 0..n-1
  unsigned below(unsigned n) { return static_cast<unsigned>(engine_() % n); }

  bool one_in(unsigned n) { return below(n) == 0; }

 private:
  std::mt19937 engine_;
};

}  // namespace iotcore::broker
