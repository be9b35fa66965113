#include "broker/topic.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace iotcore::broker {
namespace {

constexpr std::string_view kSharePrefix = "$share/";
constexpr std::string_view kRulesPrefix = "$aws/rules/";

bool is_within(std::string_view text, const TopicLimits& limits) {
  return !text.empty() && text.size() <= std::min(limits.bytes_max, kTopicBytesMax) &&
         count_levels(text) <= std::min(limits.levels_max, kTopicLevelsMax);
}

bool is_wildcard(char c) {
  return c == '+' || c == '#';
}

// Eight characters at a time, as every message's topic is looked at.
constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
constexpr std::uint64_t kHighBits = 0x8080808080808080ULL;

// The high bit of each byte of the word that is zero, and no other.
constexpr std::uint64_t zero_bytes(std::uint64_t word) {
  return ~(((word & ~kHighBits) + ~kHighBits) | word) & kHighBits;
}

// f(word) for all of the text, the last word filled up with U+0001.
template <typename F>
void for_each_word(std::string_view text, F&& f) {
  std::uint64_t word = 0;
  for (; text.size() >= sizeof(word); text.remove_prefix(sizeof(word))) {
    std::memcpy(&word, text.data(), sizeof(word));
    f(word);
  }
  if (!text.empty()) {
    word = kOnes;
    std::memcpy(&word, text.data(), text.size());
    f(word);
  }
}

}  // namespace

std::string_view without_uncounted_prefix(std::string_view topic_or_filter) {
  for (const std::string_view prefix : {kSharePrefix, kRulesPrefix}) {
    if (topic_or_filter.starts_with(prefix)) {
      const std::size_t slash = topic_or_filter.find('/', prefix.size());
      return slash == std::string_view::npos ? std::string_view()
                                             : topic_or_filter.substr(slash + 1);
    }
  }
  return topic_or_filter;
}

std::size_t count_levels(std::string_view topic_or_filter) {
  std::size_t levels = 1;
  for_each_word(topic_or_filter, [&levels](std::uint64_t word) {
    levels += ((zero_bytes(word ^ (kOnes * '/')) >> 7U) * kOnes) >> 56U;
  });
  return levels;
}

bool has_wildcard(std::string_view filter) {
  std::uint64_t found = 0;
  for_each_word(filter, [&found](std::uint64_t word) {
    found |= zero_bytes(word ^ (kOnes * '+')) | zero_bytes(word ^ (kOnes * '#'));
  });
  return found != 0;
}

bool is_valid_topic(std::string_view topic, const TopicLimits& limits) {
  // No U+0000 either: it may come in by HTTP and from what a rule has put together.
  std::uint64_t found = 0;
  for_each_word(topic, [&found](std::uint64_t word) {
    found |= zero_bytes(word ^ (kOnes * '+')) | zero_bytes(word ^ (kOnes * '#')) | zero_bytes(word);
  });
  return found == 0 && is_within(topic, limits);
}

bool is_publish_topic(std::string_view topic, const TopicLimits& limits) {
  if (!topic.starts_with(kRulesPrefix)) [[likely]] {
    return is_valid_topic(topic, limits);
  }
  const std::string_view counted = without_uncounted_prefix(topic);
  if (counted.empty()) {
    return is_valid_topic(topic, limits);
  }
  return is_valid_topic(counted, limits) &&
         is_valid_topic(topic, {kTopicBytesMax, kTopicLevelsMax});
}

bool is_valid_filter(std::string_view filter, const TopicLimits& limits) {
  if (!is_within(filter, limits)) {
    return false;
  }
  for (std::size_t i = 0; i < filter.size(); ++i) {
    if (!is_wildcard(filter[i])) {
      continue;
    }
    const bool begins_level = i == 0 || filter[i - 1] == '/';
    const bool ends = i + 1 == filter.size();
    const bool ends_level = ends || (filter[i] == '+' && filter[i + 1] == '/');
    if (!begins_level || !ends_level) {
      return false;
    }
  }
  return true;
}

std::optional<FilterView> parse_filter(std::string_view text, const TopicLimits& limits) {
  FilterView result{{}, text};
  // "$share" alone would be a group without name and filter.
  if (text.starts_with(kSharePrefix) || text == "$share") {
    const std::string_view rest = text.substr(std::min(text.size(), kSharePrefix.size()));
    const std::size_t slash = rest.find('/');
    if (slash == std::string_view::npos) {
      return std::nullopt;
    }
    result = {rest.substr(0, slash), rest.substr(slash + 1)};
    if (result.share_name.empty() || result.share_name.size() > limits.share_name_bytes_max ||
        has_wildcard(result.share_name)) {
      return std::nullopt;
    }
  }
  return is_valid_filter(result.filter, limits) ? std::optional(result) : std::nullopt;
}

bool topic_matches(std::string_view filter, std::string_view topic, bool hash_matches_parent) {
  if (topic.starts_with('$') && !filter.empty() && is_wildcard(filter[0])) {
    return false;
  }
  Levels filter_levels(filter);
  Levels topic_levels(topic);
  std::string_view wanted;
  std::string_view level;
  while (filter_levels.next(wanted)) {
    const bool more = topic_levels.next(level);
    if (wanted == "#") {
      return more || hash_matches_parent;
    }
    if (!more || (wanted != "+" && wanted != level)) {
      return false;
    }
  }
  return !topic_levels.next(level);
}

}  // namespace iotcore::broker
