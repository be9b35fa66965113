#pragma once

#include "rules/sql/ast_builder.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace iotcore::rules::sql {

enum class ParseAs : std::uint8_t { kStatement, kExpression };

// Reads the whole text into the builder's statement. The first error, if any, is the builder's.
void parse(std::string_view text, ParseAs as, AstBuilder& builder);

// What is wrong when this token stands where it stands, with what was probably meant.
std::string explain_unexpected(std::string_view text, const Token& token);

// The words that mean something to the grammar, upper case.
std::span<const std::string_view> keywords();

}  // namespace iotcore::rules::sql
