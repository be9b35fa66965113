#include "rules/sql/source_error.h"

#include "base/bytes.h"

#include <algorithm>
#include <vector>

namespace iotcore::rules::sql {
namespace {

char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

bool begins_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}

// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
std::size_t distance(std::string_view a, std::string_view b) {
  const std::size_t width = b.size() + 1;
  std::vector<std::size_t> d((a.size() + 1) * width);
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i * width + j] = i + j;
        continue;
      }
      const bool same = to_lower(a[i - 1]) == to_lower(b[j - 1]);
      std::size_t best = std::min(d[(i - 1) * width + j], d[i * width + j - 1]) + 1;
      best = std::min(best, d[(i - 1) * width + j - 1] + (same ? 0U : 1U));
      if (i > 1 && j > 1 && to_lower(a[i - 1]) == to_lower(b[j - 2]) &&
          to_lower(a[i - 2]) == to_lower(b[j - 1])) {
        best = std::min(best, d[(i - 2) * width + j - 2] + 1);
      }
      d[i * width + j] = best;
    }
  }
  return d.back();
}

std::string with_caret(const SourceError& error, std::string_view text) {
  const std::size_t offset = std::min(error.offset, text.size());
  const std::size_t before = offset == 0 ? std::string_view::npos : text.rfind('\n', offset - 1);
  const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
  const std::size_t end = std::min(text.find('\n', begin), text.size());
  std::string out = error.message;
  out += "\n  ";
  out += text.substr(begin, end - begin);
  if (out.back() == '\r') {
    out.pop_back();
  }
  out += "\n  ";
  for (std::size_t i = begin; i < offset; ++i) {
    if (begins_character(text[i])) {
      out.push_back(text[i] == '\t' ? '\t' : ' ');
    }
  }
  out.push_back('^');
  return out;
}

}  // namespace

LineColumn locate(std::string_view text, std::size_t offset) {
  LineColumn at;
  for (std::size_t i = 0; i < std::min(offset, text.size()); ++i) {
    if (text[i] == '\n') {
      ++at.line;
      at.column = 1;
    } else if (begins_character(text[i])) {
      ++at.column;
    }
  }
  return at;
}

std::string render(const SourceError& error, std::string_view text) {
  const LineColumn at = locate(text, error.offset);
  return "line " + std::to_string(at.line) + ", column " + std::to_string(at.column) + ": " +
         with_caret(error, text);
}

std::string render(const SourceError& error, std::string_view text, std::string_view file) {
  const LineColumn at = locate(text, error.offset);
  return std::string(file) + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) +
         ": " + with_caret(error, text);
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  if (word.size() < 2 || word.size() > 64) {
    return {};
  }
  std::string_view best;
  std::size_t best_distance = word.size() <= 3   ? 2
                              : word.size() <= 7 ? 3
                                                 : 4;  // one below these will do
  for (const std::string_view candidate : candidates) {
    const std::size_t d = distance(word, candidate);
    if (d < best_distance) {
      best_distance = d;
      best = candidate;
    }
  }
  return best;
}

std::optional<SourceError> not_utf8(std::string_view text) {
  if (is_valid_utf8(text)) {
    return std::nullopt;
  }
  // The longest good beginning, by halves.
  std::size_t good = 0;
  std::size_t bad = text.size();
  while (bad - good > 1) {
    std::size_t middle = good + (bad - good) / 2;
    while (middle > good && !begins_character(text[middle])) {
      --middle;
    }
    if (middle == good) {
      break;
    }
    (is_valid_utf8(text.substr(0, middle)) ? good : bad) = middle;
  }
  return SourceError{good, "the text is not UTF-8 here"};
}

}  // namespace iotcore::rules::sql
