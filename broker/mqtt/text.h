#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace iotcore::broker::mqtt {

// MQTT5 1.5.4: well-formed UTF-8 without surrogates and without U+0000. Empty is fine.
bool is_mqtt_text(std::string_view text);

enum class TopicScan : std::uint8_t { kName, kHasWildcard, kMalformed };

namespace detail {

TopicScan scan_topic_tail(std::string_view text, std::size_t from);

inline constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
inline constexpr std::uint64_t kHighBits = 0x8080808080808080ULL;

// Nonzero if a byte of the word is zero. Exact as a yes or no, which is all that is asked of it.
constexpr std::uint64_t zero_byte(std::uint64_t word) {
  return (word - kOnes) & ~word & kHighBits;
}

}  // namespace detail

// One pass over a topic name: text as above, and whether it has a wildcard. Eight bytes at a time
// while they are plain ASCII.
inline TopicScan scan_topic_name(std::string_view topic) {
  using detail::kHighBits;
  using detail::kOnes;
  using detail::zero_byte;
  const char* const data = topic.data();
  const std::size_t size = topic.size();
  const auto unusual = [](std::uint64_t word) {
    return (word & kHighBits) | zero_byte(word) | zero_byte(word ^ (kOnes * '+')) |
           zero_byte(word ^ (kOnes * '#'));
  };
  std::size_t i = 0;
  std::uint64_t word;
  for (; size - i >= 8; i += 8) {
    std::memcpy(&word, data + i, 8);
    if (unusual(word) != 0) [[unlikely]] {
      return detail::scan_topic_tail(topic, i);
    }
  }
  if (i == size) {
    return TopicScan::kName;
  }
  if (size >= 8) {
    // The last eight bytes again, some of them twice: cheaper than a loop over the rest.
    std::memcpy(&word, data + size - 8, 8);
    return unusual(word) == 0 ? TopicScan::kName : detail::scan_topic_tail(topic, i);
  }
  for (; i < size; ++i) {
    const auto c = static_cast<unsigned char>(data[i]);
    if (c >= 0x80 || c == 0 || c == '+' || c == '#') [[unlikely]] {
      return detail::scan_topic_tail(topic, i);
    }
  }
  return TopicScan::kName;
}

}  // namespace iotcore::broker::mqtt
