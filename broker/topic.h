#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

// Topics and filters as MQTT 4.7 defines them. Text is taken as checked by the codec (UTF-8, no
// U+0000).
namespace iotcore::broker {

// What no configuration can raise: the depth of the trees, and MQTT's own two-byte lengths.
inline constexpr std::size_t kTopicLevelsMax = 256;
inline constexpr std::size_t kTopicBytesMax = 65535;

struct TopicLimits {
  std::size_t bytes_max = 4096;
  std::size_t levels_max = 128;
  std::size_t share_name_bytes_max = 128;
};

// For what has been checked already.
inline constexpr TopicLimits kAnyTopicLimits{kTopicBytesMax, kTopicBytesMax, kTopicBytesMax};

// What limits apply to: without `$aws/rules/<rule>/` or `$share/<name>/` in front (spec mqtt 5; the
// strict profile counts so).
std::string_view without_uncounted_prefix(std::string_view topic_or_filter);

std::size_t count_levels(std::string_view topic_or_filter);

// Not empty, no wildcard, within the limits.
bool is_valid_topic(std::string_view topic, const TopicLimits& limits = {});

// What a client may publish to: the same, with the limits for what follows `$aws/rules/<rule>/`.
bool is_publish_topic(std::string_view topic, const TopicLimits& limits = {});

// Not empty, `+` and `#` alone in their level, `#` only last, within the limits. Not for
// `$share/…`: see parse_filter.
bool is_valid_filter(std::string_view filter, const TopicLimits& limits = {});

bool has_wildcard(std::string_view filter);

// What a client subscribes to. Points into the text that was parsed.
struct FilterView {
  std::string_view share_name = {};  // empty: not shared
  std::string_view filter = {};      // without $share/name/

  bool is_shared() const { return !share_name.empty(); }
};

// Takes `$share/name/filter` apart (MQTT5 4.8.2) and checks; nothing if it is not valid.
std::optional<FilterView> parse_filter(std::string_view text, const TopicLimits& limits = {});

// The levels of a topic or filter, left to right; "a//b" has three, "" one.
class Levels {
 public:
  explicit Levels(std::string_view text) : rest_(text) {}

  bool next(std::string_view& level) {
    if (done_) {
      return false;
    }
    const std::size_t slash = rest_.find('/');
    level = rest_.substr(0, slash);
    if (slash == std::string_view::npos) {
      done_ = true;
    } else {
      rest_.remove_prefix(slash + 1);
    }
    return true;
  }

 private:
  std::string_view rest_;
  bool done_ = false;
};

// Whether a valid filter matches a valid topic. A first level that starts with `$` matches no
// wildcard (MQTT-4.7.2-1); `a/#` matches `a` unless told otherwise (MQTT 4.7.1.2; the strict
// profile says otherwise). The definition against which the tree is tested.
bool topic_matches(
    std::string_view filter, std::string_view topic, bool hash_matches_parent = true
);

}  // namespace iotcore::broker
