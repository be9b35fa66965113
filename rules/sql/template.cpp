#include "rules/sql/compiler.h"
#include "rules/sql/parser.h"
#include "rules/sql/withheld.h"

#include <algorithm>

namespace iotcore::rules::sql {
namespace {

// One past the brace that closes the expression which begins at `from`; strings and inner braces
// are skipped.
std::size_t find_end(std::string_view text, std::size_t from) {
  int depth = 1;
  for (std::size_t i = from; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\'' || c == '"') {
      i = text.find(c, i + 1);
      if (i == std::string_view::npos) {
        return i;
      }
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth == 0) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

}  // namespace

tl::expected<Template, SourceError> compile_template_source(
    std::string_view text, const Program& rule
) {
  if (std::optional<SourceError> error = not_utf8(text)) {
    return tl::unexpected(std::move(*error));
  }
  auto code = std::make_unique<ProgramData>();
  code->text = text;
  code->version = rule.version();
  code->options = rule.data().options;
  code->variables = rule.data().variables;
  const std::string_view whole = code->text;
  Compiler compiler(*code);
  std::size_t at = 0;
  for (;;) {
    const std::size_t begin = whole.find("${", at);
    if (begin == std::string_view::npos) {
      break;
    }
    const std::size_t end = find_end(whole, begin + 2);
    if (end == std::string_view::npos) {
      return tl::unexpected(SourceError{begin, "this ${ is never closed"});
    }
    // The expression keeps its offsets: what stands before it is cut off only for the lexer.
    const std::string_view inner = whole.substr(begin + 2, end - 1 - (begin + 2));
    AstBuilder builder(inner);
    parse(inner, ParseAs::kExpression, builder);
    std::optional<SourceError> error = builder.error();
    if (!error) {
      const NodeIndex expression = compiler.template_expression(*builder.statement().expression);
      error = compiler.error();
      code->parts.push_back({whole.substr(at, begin - at), expression});
    }
    if (error) {
      return tl::unexpected(SourceError{error->offset + begin + 2, error->message});
    }
    at = end;
  }
  if (at < whole.size()) {
    code->parts.push_back({whole.substr(at), kNoNode});
  }
  const ProgramData& of_rule = rule.data();
  if (std::ranges::any_of(code->nodes, [](const Node& node) { return node.op == Op::kVariable; })) {
    code->calls_external = code->calls_external || of_rule.calls_external;
    code->reads_secret = code->reads_secret || of_rule.reads_secret;
    code->calls_others = code->calls_others || of_rule.calls_others;
  }
  if (code->reads_secret) {
    code->calls_others =
        code->calls_others || !code->queries.empty() || !of_rule.queries.empty() ||
        std::ranges::any_of(code->parts, [&](const TemplatePart& part) {
          return part.expression != kNoNode && !can_withhold(*code, of_rule, part.expression);
        });
  }
  return Template(std::move(code));
}

Result<Template> compile_template(std::string_view text, const Program& rule) {
  auto compiled = compile_template_source(text, rule);
  if (!compiled) {
    return fail(to_error(compiled.error(), text));
  }
  return std::move(*compiled);
}

Template::Template(std::unique_ptr<const ProgramData> data) : data_(std::move(data)) {}

Template::Template(Template&&) noexcept = default;

Template& Template::operator=(Template&&) noexcept = default;

Template::~Template() = default;

bool Template::is_literal() const {
  return data_->parts.empty() ||
         (data_->parts.size() == 1 && data_->parts[0].expression == kNoNode);
}

std::optional<std::string> Template::literal_part(
    std::string_view member, std::string_view name
) const {
  if (is_literal()) {
    return name == member ? std::optional(text()) : std::nullopt;
  }
  for (std::size_t i = 0; i < data_->parts.size(); ++i) {
    if (part_of_member(member, i) == name) {
      return std::string(data_->parts[i].literal);
    }
  }
  return std::nullopt;
}

const std::string& Template::text() const {
  return data_->text;
}

bool Template::calls_external() const {
  return data_->calls_external;
}

bool Template::has_to_wait() const {
  return data_->calls_others;
}

}  // namespace iotcore::rules::sql
