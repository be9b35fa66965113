#include "rules/sql/topic_filter.h"

namespace iotcore::rules::sql {
namespace {

// Takes the next level off the front; false when there is none left.
bool next_level(std::string_view& rest, bool& more, std::string_view& level) {
  if (!more) {
    return false;
  }
  const std::size_t slash = rest.find('/');
  level = rest.substr(0, slash);
  more = slash != std::string_view::npos;
  rest.remove_prefix(more ? slash + 1 : rest.size());
  return true;
}

}  // namespace

std::string_view topic_filter_problem(std::string_view filter) {
  if (filter.empty()) {
    return "a topic filter cannot be empty";
  }
  if (filter.size() > 65535 || filter.find('\0') != std::string_view::npos) {
    return "not a topic filter";
  }
  bool more = true;
  std::string_view rest = filter;
  std::string_view level;
  while (next_level(rest, more, level)) {
    if (level.size() > 1 && level.find_first_of("+#") != std::string_view::npos) {
      return "+ and # stand alone in their level: 'a/+/c', 'a/#'";
    }
    if (level == "#" && more) {
      return "# can only be the last level";
    }
  }
  return {};
}

}  // namespace iotcore::rules::sql
