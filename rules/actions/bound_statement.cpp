#include "rules/actions/bound_statement.h"

#include <fmt/format.h>

namespace iotcore::rules::actions {
namespace {

// One past the closing brace of the ${ whose expression begins at `at`; npos: it is never closed.
std::size_t end_of_expression(std::string_view text, std::size_t at) {
  for (int depth = 1; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\'' || c == '"') {
      at = text.find(c, at + 1);
      if (at == std::string_view::npos) {
        break;
      }
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth == 0) {
      return at + 1;
    }
  }
  return std::string_view::npos;
}

}  // namespace

BoundStatement bind_parameters(std::string_view name, char sign, MemberReader& members) {
  BoundStatement bound;
  const std::string given = members.optional_text(name).value_or(std::string());
  const std::string_view text = given;
  char quote = 0;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (text.substr(i, 2) != "${") {
      quote = quote == 0 && (c == '\'' || c == '"') ? c : quote == c ? char{0} : quote;
      bound.sql += c;
      ++i;
      continue;
    }
    const std::size_t end = end_of_expression(text, i + 2);
    if (quote != 0 || end == std::string_view::npos) {
      members.fail_member(
          name,
          quote != 0 ? "${…} stands in quotes: write it without, it is bound as a parameter"
                     : "a ${ is never closed"
      );
      return bound;
    }
    std::optional<sql::Template> parameter =
        members.compile(text.substr(i, end - i), members.pointer_to(name));
    if (!parameter) {
      return bound;
    }
    bound.parameters.push_back(std::move(*parameter));
    bound.sql += fmt::format("{}{}", sign, bound.parameters.size());
    i = end;
  }
  return bound;
}

Result<Action::Fields> StatementAction::resolve(const ActionInput& input) const {
  Fields fields{std::string(kStatementMode), statement_.sql};
  for (const sql::Template& parameter : statement_.parameters) {
    IOTCORE_ASSIGN(fields.emplace_back(), input.evaluation.render(parameter));
  }
  return fields;
}

}  // namespace iotcore::rules::actions
