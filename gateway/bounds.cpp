#include "gateway/bounds.h"

#include "base/check.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>

namespace iotcore::gateway {
namespace {

std::size_t count_characters(std::string_view utf8) {
  return static_cast<std::size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

// The rows are written as AWS shows them; \p{Graph} is Java's name for what RE2 calls [:graph:].
std::string in_re2_syntax(std::string pattern) {
  static constexpr std::string_view kJava = "\\p{Graph}";
  for (std::size_t at = pattern.find(kJava); at != std::string::npos; at = pattern.find(kJava)) {
    pattern.replace(at, kJava.size(), "[:graph:]");
  }
  return pattern;
}

// "[…]+" or "[…]*".
bool is_character_class(std::string_view pattern) {
  if (!pattern.starts_with('[') || !(pattern.ends_with("]+") || pattern.ends_with("]*"))) {
    return false;
  }
  std::size_t at = 1;
  while (at < pattern.size() && pattern[at] != ']') {
    at += pattern[at] == '\\' ? 2 : 1;
  }
  return at + 2 == pattern.size();
}

}  // namespace

Bounds::Bounds(const api::Bounds& row) : row_(row) {
  if (!row.pattern().empty()) {
    pattern_ = std::make_unique<re2::RE2>(in_re2_syntax(row.pattern()), re2::RE2::Quiet);
    IOTCORE_CHECK(pattern_->ok());
  }
  if (is_character_class(row.pattern())) {
    character_class_.emplace();
    for (std::size_t i = 0; i < character_class_->size(); ++i) {
      const char character = static_cast<char>(i);
      character_class_->set(i, re2::RE2::FullMatch({&character, 1}, *pattern_));
    }
  }
}

Bounds::~Bounds() = default;

bool Bounds::matches(std::string_view text) const {
  if (pattern_ == nullptr) {
    return true;
  }
  // RE2 takes ten times as long; it decides on what has no character, or others than ASCII.
  if (character_class_ && !text.empty()) {
    const auto beyond = std::find_if(text.begin(), text.end(), [this](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return byte >= character_class_->size() || !(*character_class_)[byte];
    });
    if (beyond == text.end()) {
      return true;
    }
    if (static_cast<unsigned char>(*beyond) < character_class_->size()) {
      return false;
    }
  }
  return re2::RE2::FullMatch({text.data(), text.size()}, *pattern_);
}

std::vector<std::string> Bounds::violations(std::string_view text) const {
  std::vector<std::string> out;
  if (row_.values_size() > 0 &&
      std::find(row_.values().begin(), row_.values().end(), text) == row_.values().end()) {
    out.push_back(
        fmt::format("Member must satisfy enum value set: [{}]", fmt::join(row_.values(), ", "))
    );
  }
  const std::size_t length = count_characters(text);
  if (row_.has_length_max() && length > row_.length_max()) {
    out.push_back(fmt::format("Member must have length less than or equal to {}", row_.length_max())
    );
  }
  if (row_.has_length_min() && length < row_.length_min()) {
    out.push_back(
        fmt::format("Member must have length greater than or equal to {}", row_.length_min())
    );
  }
  if (!matches(text)) {
    out.push_back(fmt::format("Member must satisfy regular expression pattern: {}", row_.pattern())
    );
  }
  return out;
}

std::vector<std::string> Bounds::violations(std::int64_t number) const {
  std::vector<std::string> out;
  if (row_.has_max() && number > row_.max()) {
    out.push_back(fmt::format("Member must have value less than or equal to {}", row_.max()));
  }
  if (row_.has_min() && number < row_.min()) {
    out.push_back(fmt::format("Member must have value greater than or equal to {}", row_.min()));
  }
  return out;
}

BoundsTable::BoundsTable() {
  const auto* shapes = api::Shape_descriptor();
  for (int i = 0; i < shapes->value_count(); ++i) {
    const auto* value = shapes->value(i);
    if (value->options().HasExtension(api::bounds)) {
      rows_.try_emplace(
          static_cast<api::Shape>(value->number()), value->options().GetExtension(api::bounds)
      );
    }
  }
}

const Bounds* BoundsTable::find(api::Shape shape) const {
  const auto it = rows_.find(shape);
  return it == rows_.end() ? nullptr : &it->second;
}

}  // namespace iotcore::gateway
