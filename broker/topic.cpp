#include "broker/topic.h"

#include <algorithm>

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
  return 1 +
         static_cast<std::size_t>(std::count(topic_or_filter.begin(), topic_or_filter.end(), '/'));
}

bool has_wildcard(std::string_view filter) {
  return std::any_of(filter.begin(), filter.end(), is_wildcard);
}

bool is_valid_topic(std::string_view topic, const TopicLimits& limits) {
  return is_within(topic, limits) && !has_wildcard(topic);
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
