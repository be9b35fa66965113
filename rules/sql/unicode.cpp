#include "rules/sql/unicode.h"

#include <unicode/locid.h>
#include <unicode/unistr.h>

#include <algorithm>

namespace iotcore::rules::sql {
namespace {

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x80;
  });
}

bool begins_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}

// Characters of four bytes take two units.
std::size_t units_of(char lead) {
  return static_cast<unsigned char>(lead) >= 0xF0 ? 2 : 1;
}

icu::UnicodeString to_icu(std::string_view text) {
  return icu::UnicodeString::fromUTF8({text.data(), static_cast<std::int32_t>(text.size())});
}

constexpr std::string_view kWhiteSpace[] = {
    " ",      "\t",     "\n",     "\r",     "\v",     "\f",     "\x1C",   "\x1D",
    "\x1E",   "\x1F",   "\u0085", "\u00A0", "\u1680", "\u2000", "\u2001", "\u2002",
    "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200A",
    "\u2028", "\u2029", "\u202F", "\u205F", "\u3000",
};

}  // namespace

std::size_t utf16_length(std::string_view text) {
  std::size_t units = 0;
  for (const char c : text) {
    units += begins_character(c) ? units_of(c) : 0;
  }
  return units;
}

std::string utf16_slice(std::string_view text, std::size_t from, std::size_t to) {
  std::string out;
  std::size_t unit = 0;
  for (std::size_t i = 0; i < text.size() && unit < to;) {
    std::size_t end = i + 1;
    while (end < text.size() && !begins_character(text[end])) {
      ++end;
    }
    const std::size_t next = unit + units_of(text[i]);
    if (unit >= from && next <= to) {
      out.append(text, i, end - i);
    } else if (next > from) {
      out.append("\uFFFD");
    }
    unit = next;
    i = end;
  }
  return out;
}

std::string to_lower(std::string_view text) {
  std::string out;
  if (is_ascii(text)) {
    out = text;
    std::transform(out.begin(), out.end(), out.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    });
    return out;
  }
  return to_icu(text).toLower(icu::Locale::getRoot()).toUTF8String(out);
}

std::string to_upper(std::string_view text) {
  std::string out;
  if (is_ascii(text)) {
    out = text;
    std::transform(out.begin(), out.end(), out.begin(), [](char c) {
      return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
    });
    return out;
  }
  return to_icu(text).toUpper(icu::Locale::getRoot()).toUTF8String(out);
}

std::string_view trim_white_space(std::string_view text) {
  const auto cut = [&](auto has, auto remove) {
    for (bool again = true; again;) {
      again = false;
      for (const std::string_view space : kWhiteSpace) {
        if (has(space)) {
          remove(space.size());
          again = true;
        }
      }
    }
  };
  cut([&](std::string_view space) { return text.starts_with(space); },
      [&](std::size_t n) { text.remove_prefix(n); });
  cut([&](std::string_view space) { return text.ends_with(space); },
      [&](std::size_t n) { text.remove_suffix(n); });
  return text;
}

}  // namespace iotcore::rules::sql
