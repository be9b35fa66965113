#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace iotcore::rules::sql {

// Something wrong at a place of a text: a statement, a template or a rule file.
struct SourceError {
  std::size_t offset = 0;
  std::string message;
};

// Line and column count from 1; a column is a character, not a byte.
struct LineColumn {
  std::uint32_t line = 1;
  std::uint32_t column = 1;
};

LineColumn locate(std::string_view text, std::size_t offset);

// "line 2, column 8: message", the line and a caret under the place.
std::string render(const SourceError& error, std::string_view text);
// "file:2:8: message", the line and a caret under the place.
std::string render(const SourceError& error, std::string_view text, std::string_view file);

// The candidate a misspelt word was probably meant to be, or empty. Case does not count.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

// Where the text stops being UTF-8, as an error; nothing if it is.
std::optional<SourceError> not_utf8(std::string_view text);

inline Error to_error(const SourceError& error, std::string_view text) {
  return Error(Errc::kSqlParse, render(error, text));
}

}  // namespace iotcore::rules::sql
