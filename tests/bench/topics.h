#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::bench {

// Topic names of one length in one block, so that a packet's size does not depend on its topic.
class Topics {
 public:
  void add(std::string_view name) {
    width_ = name.size();
    names_ += name;
  }

  std::size_t size() const { return width_ == 0 ? 0 : names_.size() / width_; }

  std::size_t width() const { return width_; }

  std::string_view operator[](std::size_t i) const {
    return std::string_view(names_).substr(i * width_, width_);
  }

 private:
  std::string names_;
  std::size_t width_ = 0;
};

// PREFIX/000000, PREFIX/000001 and so on.
inline Topics numbered_topics(std::string_view prefix, std::uint32_t count) {
  Topics topics;
  for (std::uint32_t i = 0; i < count; ++i) {
    topics.add(fmt::format("{}/{:06}", prefix, i));
  }
  return topics;
}

// 0 to count - 1, shuffled the same way in every run.
inline std::vector<std::uint32_t> shuffled(std::size_t count) {
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  std::shuffle(order.begin(), order.end(), std::mt19937(42));
  return order;
}

}  // namespace iotcore::bench
