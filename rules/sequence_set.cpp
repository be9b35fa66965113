#include "rules/sequence_set.h"

#include <fmt/format.h>

#include <charconv>

namespace iotcore::rules {

std::string to_text(const SequenceSet& set) {
  std::string text;
  set.for_each([&text](SequenceRange range) {
    text += fmt::format("{}{}-{}", text.empty() ? "" : " ", range.first, range.end);
  });
  return text;
}

SequenceSet sequence_set_from(std::string_view text) {
  SequenceSet set;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    SequenceRange range;
    at = std::from_chars(at, end, range.first).ptr + 1;
    if (at >= end) {
      break;
    }
    at = std::from_chars(at, end, range.end).ptr + 1;
    set.add(range);
  }
  return set;
}

}  // namespace iotcore::rules
