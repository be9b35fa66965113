#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace iotcore::bench {

// Times in nanoseconds, counted in buckets that are at most 1.6 % wide; the greatest is kept
// exactly.
class Latencies {
 public:
  void add(std::uint64_t ns) {
    ++counts_[bucket_of(ns)];
    ++total_;
    max_ns_ = std::max(max_ns_, ns);
  }

  void merge(const Latencies& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      counts_[i] += other.counts_[i];
    }
    total_ += other.total_;
    max_ns_ = std::max(max_ns_, other.max_ns_);
  }

  std::uint64_t total() const { return total_; }

  double max_us() const { return static_cast<double>(max_ns_) / 1000; }

  // The time that `share` of all are at or under, to the upper edge of its bucket.
  double quantile_us(double share) const {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > wanted) {
        return static_cast<double>(std::min(upper_edge_ns(i), max_ns_)) / 1000;
      }
    }
    return max_us();
  }

 private:
  static constexpr int kFineBits = 6;
  static constexpr std::size_t kFine = 1U << kFineBits;

  static std::size_t bucket_of(std::uint64_t ns) {
    if (ns < kFine) {
      return static_cast<std::size_t>(ns);
    }
    const int shift = static_cast<int>(std::bit_width(ns)) - kFineBits - 1;
    return static_cast<std::size_t>(shift + 1) * kFine +
           static_cast<std::size_t>((ns >> shift) - kFine);
  }

  static std::uint64_t upper_edge_ns(std::size_t bucket) {
    if (bucket < kFine) {
      return bucket;
    }
    const auto shift = bucket / kFine - 1;
    return ((bucket % kFine + kFine + 1) << shift) - 1;
  }

  std::array<std::uint64_t, kFine*(64 - kFineBits + 1)> counts_ = {};
  std::uint64_t total_ = 0;
  std::uint64_t max_ns_ = 0;
};

}  // namespace iotcore::bench
