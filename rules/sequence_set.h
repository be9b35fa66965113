#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <string>
#include <string_view>

namespace iotcore::rules {

// [first, end)
struct SequenceRange {
  std::uint64_t first = 0;
  std::uint64_t end = 0;

  friend bool operator==(const SequenceRange&, const SequenceRange&) = default;
};

// A set of numbers kept as ranges: small as long as they mostly follow one another.
class SequenceSet {
 public:
  void add(std::uint64_t number) { add(SequenceRange{number, number + 1}); }

  void add(SequenceRange range) {
    if (range.first >= range.end) {
      return;
    }
    auto next = ends_.upper_bound(range.first);
    if (next != ends_.begin()) {
      if (const auto before = std::prev(next); before->second >= range.first) {
        range.first = before->first;
        range.end = std::max(range.end, before->second);
        ends_.erase(before);
      }
    }
    while (next != ends_.end() && next->first <= range.end) {
      range.end = std::max(range.end, next->second);
      next = ends_.erase(next);
    }
    ends_.emplace(range.first, range.end);
  }

  bool contains(std::uint64_t number) const {
    const auto next = ends_.upper_bound(number);
    return next != ends_.begin() && std::prev(next)->second > number;
  }

  bool empty() const { return ends_.empty(); }

  SequenceRange front() const { return {ends_.begin()->first, ends_.begin()->second}; }

  // Takes away all numbers below `number`.
  void erase_below(std::uint64_t number) {
    while (!ends_.empty() && ends_.begin()->first < number) {
      const std::uint64_t end = ends_.begin()->second;
      ends_.erase(ends_.begin());
      if (end > number) {
        ends_.emplace(number, end);
      }
    }
  }

  // Forgets the lowest ranges beyond that many. Of what a target has: gaps are rare and short-lived, and forgetting an old one could at worst
  // repeat a record.
  void keep_highest(std::size_t ranges_max = 256) {
    while (ends_.size() > ranges_max) {
      ends_.erase(ends_.begin());
    }
  }

  template <typename Visitor>
  void for_each(Visitor&& visit) const {
    for (const auto& [first, end] : ends_) {
      visit(SequenceRange{first, end});
    }
  }

 private:
  std::map<std::uint64_t, std::uint64_t> ends_;  // by first
};

// "first-end first-end …", and back; what can't be read is left out.
std::string to_text(const SequenceSet& set);
SequenceSet sequence_set_from(std::string_view text);

}  // namespace iotcore::rules
