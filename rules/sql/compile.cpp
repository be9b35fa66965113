// The parts of Compiler that deal with functions and SELECT lists, and the entry points.
#include "rules/sql/compiler.h"
#include "rules/sql/lexer.h"
#include "rules/sql/parser.h"

#include <algorithm>
#include <utility>

namespace iotcore::rules::sql {
namespace {

class NoRandom final : public Random {
 public:
  std::uint64_t next() override { return 0; }
};

bool is_regular_expression_function(std::string_view name) {
  return name.starts_with("regexp_");
}

}  // namespace

NodeIndex Compiler::call(const Expr& e, const Scope& scope) {
  const Function* const function = find_function(lower_ascii(e.text));
  if (function == nullptr) {
    const std::string_view meant = nearest_function(e.text);
    fail(
        e.offset,
        "there is no function " + std::string(e.text) + "()" +
            (meant.empty() ? "" : "; did you mean " + std::string(meant) + "()?")
    );
    return constant({});
  }
  if (function->since_2016) {
    needs_2016(e.offset, std::string(function->name) + "()");
  }
  if (function->kind == FunctionKind::kExternal) {
    code_.calls_external = true;
    const bool is_secret = function->name == "get_secret";
    code_.reads_secret = code_.reads_secret || is_secret;
    code_.calls_others = code_.calls_others || !is_secret;
    is_external_ = true;
  }
  std::vector<NodeIndex> operands;
  for (std::size_t i = 0; i < e.children.size(); ++i) {
    const bool was_external = std::exchange(is_external_, false);
    operands.push_back(expression(*e.children[i], scope));
    if (i == 1 && is_external_ && function->kind == FunctionKind::kLazy) {
      fail(e.children[i]->offset, "the default of get_or_default() cannot call external functions");
    }
    is_external_ = is_external_ || was_external;
  }
  const std::size_t count = operands.size();
  if (count < function->arguments_min ||
      (count > function->arguments_max && function->arguments_max != kAnyNumber)) {
    note(
        e.offset,
        std::string(function->signature) + " with " + std::to_string(count) +
            " arguments is always Undefined"
    );
    return constant({});
  }
  check_arguments(e, *function);
  const bool has_expression = is_regular_expression_function(function->name) && count > 1;
  const std::uint32_t expression_index = has_expression ? regular_expression(e, operands[1]) : 0;
  const Op op = function->kind == FunctionKind::kLazy ? Op::kGetOrDefault : Op::kCall;
  const auto detail = static_cast<std::uint8_t>(function - functions().data());
  const bool is_foldable = function->kind == FunctionKind::kPure && are_constant(operands);
  return add(
      {op, detail, static_cast<std::uint16_t>(count), add_operands(operands), expression_index},
      is_foldable
  );
}

void Compiler::check_arguments(const Expr& e, const Function& function) {
  const std::string_view name = function.name;
  const bool has_mode = name == "transform" || name == "get_registry_data" || name == "get_secret";
  const std::size_t mode = name == "get_secret" ? 1 : 0;
  if (has_mode && e.children.size() > mode && e.children[mode]->kind == ExprKind::kVariable) {
    fail(e.children[mode]->offset, std::string(name) + "(): the mode cannot be a variable");
  }
  if (name == "get_registry_data" && e.children.front()->kind != ExprKind::kString) {
    fail(
        e.children.front()->offset,
        "get_registry_data(): the first argument is 'DescribeThing' or 'ListThingGroupsForThing'"
    );
  }
  const bool has_role = function.kind == FunctionKind::kExternal && name != "aws_lambda";
  const std::size_t role = name == "machinelearning_predict" ? 1 : e.children.size() - 1;
  if (has_role && e.children[role]->kind == ExprKind::kVariable) {
    fail(e.children[role]->offset, std::string(name) + "(): the role cannot be a variable");
  }
  if (name == "decode") {
    check_decode(e);
  }
}

void Compiler::check_decode(const Expr& e) {
  const Expr& encoding = *e.children[1];
  if (encoding.kind != ExprKind::kString || string_value(encoding.text) != "proto") {
    return;
  }
  constexpr int kProtoDecodesMax = 2;
  if (is_template_) {
    fail(e.offset, "decode(…, 'proto', …) cannot stand in a template; SET a variable");
  } else if (++proto_decodes_ > kProtoDecodesMax) {
    fail(e.offset, "decode(…, 'proto', …) can stand twice in a statement; SET a variable");
  }
}

// 1 + the index of the compiled pattern; 0: it is not constant or not a regular expression.
std::uint32_t Compiler::regular_expression(const Expr& e, NodeIndex pattern) {
  if (!is_constant(pattern)) {
    return 0;
  }
  const Values values(code_.memory, code_.keeps_decimals());
  const std::optional<std::string_view> text =
      values.to_text(code_.constants[code_.nodes[pattern].a]);
  if (!text) {
    return 0;
  }
  auto compiled = compile_expression(*text);
  if (!compiled->ok()) {
    note(e.offset, "not a regular expression: " + compiled->error());
    return 0;
  }
  code_.expressions.push_back(std::move(compiled));
  return static_cast<std::uint32_t>(code_.expressions.size());
}

void Compiler::selection(const Items& items, const Scope& scope, Selection& to) {
  to.is_value = items.is_value;
  to.places.emplace_back();
  bool has_star = false;
  for (std::size_t i = 0; i < items.items.size(); ++i) {
    const Item& item = items.items[i];
    const bool is_star =
        item.value->kind == ExprKind::kStar && item.alias.empty() && !items.is_value;
    if (is_star) {
      if (std::exchange(has_star, true)) {
        fail(item.value->offset, "* stands once in a SELECT");
      }
      remember_path({}, scope);
      to.items.push_back(Selection::kStar);
      continue;
    }
    to.items.push_back(expression(*item.value, scope));
    if (!items.is_value) {
      add_place(to, item_key(item, i + 1), static_cast<std::uint16_t>(i));
    }
  }
  to.only_star = has_star && to.items.size() == 1;
  if (items.trailing_comma != 0) {
    note(items.trailing_comma, "this comma has nothing behind it");
  }
}

std::vector<std::string_view> Compiler::item_key(const Item& item, std::size_t position) {
  if (!item.alias.empty()) {
    std::vector<std::string_view> key;
    for (const Token& part : item.alias) {
      key.push_back(part.text());
    }
    return key;
  }
  const Expr& e = *item.value;
  switch (e.kind) {
    case ExprKind::kName:
    case ExprKind::kMember:
    case ExprKind::kCall:
      return {e.text};
    case ExprKind::kVariable:
      return {e.text.substr(1)};
    default:
      break;
  }
  const std::string name = "_" + std::to_string(position);
  extension(
      e.offset, "an expression without a name (here it is called " + name + "; write AS name)"
  );
  return {keep(name)};
}

void Compiler::add_place(
    Selection& to, const std::vector<std::string_view>& key, std::uint16_t item
) {
  std::size_t at = 0;
  for (const std::string_view part : key) {
    std::size_t next = 0;
    for (const std::uint16_t child : to.places[at].children) {
      next = to.places[child].key == part ? child : next;
    }
    if (next == 0) {
      next = to.places.size();
      to.places.push_back({part, {}, {}});
      to.places[at].children.push_back(static_cast<std::uint16_t>(next));
    }
    at = next;
  }
  to.places[at].items.push_back(item);
}

NodeIndex Compiler::add(const Node& node, bool is_foldable) {
  code_.nodes.push_back(node);
  const auto index = static_cast<NodeIndex>(code_.nodes.size() - 1);
  if (!is_foldable || error_) {
    return index;
  }
  const MessageView message;
  ParsedPayload payload;
  NoExternalFunctions external;
  NoRandom random;
  const EvaluationLimits limits{16U << 10, 1U << 20, 100'000};
  Evaluator evaluator(code_, message, payload, external, random, limits);
  const Value value = evaluator.constant(code_, index);
  if (evaluator.failed() || evaluator.values().arena().exhausted()) {
    return index;
  }
  const Values values(code_.memory, code_.keeps_decimals());
  return constant(values.clone(value));
}

NodeIndex Compiler::constant(const Value& value) {
  code_.constants.push_back(value);
  code_.nodes.push_back(
      {Op::kConstant, 0, 0, static_cast<std::uint32_t>(code_.constants.size() - 1)}
  );
  return static_cast<NodeIndex>(code_.nodes.size() - 1);
}

std::uint32_t Compiler::add_operands(const std::vector<NodeIndex>& nodes) {
  code_.operands.insert(code_.operands.end(), nodes.begin(), nodes.end());
  return static_cast<std::uint32_t>(code_.operands.size() - nodes.size());
}

std::uint32_t Compiler::add_names(const std::vector<std::string_view>& names) {
  code_.names.insert(code_.names.end(), names.begin(), names.end());
  return static_cast<std::uint32_t>(code_.names.size() - names.size());
}

std::string_view Compiler::keep(std::string_view text) {
  return code_.memory.copy(text);
}

tl::expected<Program, SourceError> compile_source(
    std::string_view sql, Version version, const CompileOptions& options
) {
  if (std::optional<SourceError> error = not_utf8(sql)) {
    return tl::unexpected(std::move(*error));
  }
  auto code = std::make_unique<ProgramData>();
  code->text = sql;
  code->version = version;
  code->options = options;
  AstBuilder builder(code->text);
  parse(code->text, ParseAs::kStatement, builder);
  if (builder.error()) {
    return tl::unexpected(*builder.error());
  }
  Compiler compiler(*code);
  compiler.statement(builder.statement());
  if (compiler.error()) {
    return tl::unexpected(*compiler.error());
  }
  return Program(std::move(code));
}

Result<Program> compile(std::string_view sql, Version version, const CompileOptions& options) {
  auto program = compile_source(sql, version, options);
  if (!program) {
    return fail(to_error(program.error(), sql));
  }
  return std::move(*program);
}

}  // namespace iotcore::rules::sql
