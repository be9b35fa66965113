#pragma once

#include "registry/policy/context.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry::policy {

// A piece of a resource, an action or a condition value.
struct Part {
  enum class Kind : std::uint8_t {
    kText,
    kAnyRun,    // *: any characters, also none, also '/'
    kAnyOne,    // ?: exactly one character
    kVariable,  // ${text}
  };
  Kind kind;
  std::string text;

  friend bool operator==(const Part&, const Part&) = default;
};

using Pattern = std::vector<Part>;

// Neighbouring texts are one part, neighbouring stars one star. ${*}, ${?} and ${$} are text.
Pattern parse_pattern(std::string_view text, bool has_variables);

// The pattern with what its variables stand for, as text; nullopt if one has no value, and its name
// appended to `missing`.
std::optional<Pattern> put_in_values(
    const Pattern& pattern, const Context& context, std::vector<std::string>& missing
);

// Plainly: tries every way at once, character by character.
bool matches(const Pattern& pattern, std::string_view text);

// The pattern where wildcards mean nothing.
std::string as_text(const Pattern& pattern);

}  // namespace iotcore::registry::policy
