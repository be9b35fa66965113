#include "registry/policy/document.h"

#include "base/json.h"
#include "registry/policy/duplicate_keys.h"
#include "registry/policy/text.h"

#include <algorithm>
#include <array>
#include <set>

namespace iotcore::registry::policy {
namespace {

// Room for {Statement: [{Condition: {operator: {key: [value]}}}]} and no more than is needed to say
// what is wrong.
constexpr std::size_t kDepthMax = 16;

constexpr std::array<std::string_view, 27> kOperators = {
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "DateEquals",
    "DateNotEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "Bool",
    "BinaryEquals",
    "IpAddress",
    "NotIpAddress",
    "ArnEquals",
    "ArnLike",
    "ArnNotEquals",
    "ArnNotLike",
    "Null",
};
static_assert(kOperators.size() == static_cast<std::size_t>(Operator::kNull) + 1);

tl::unexpected<Error> malformed(std::string message) {
  return fail(Errc::kMalformedPolicy, std::move(message));
}

std::string_view text_of(const json::string& s) {
  return {s.data(), s.size()};
}

std::string_view text_of(json::string_view s) {
  return {s.data(), s.size()};
}

// Characters without white space between tokens: what AWS's limit counts.
std::size_t count_characters(std::string_view text) {
  std::size_t count = 0;
  bool in_string = false;
  bool escaped = false;
  for (const char c : text) {
    if (!in_string && (c == ' ' || c == '\t' || c == '\r' || c == '\n')) {
      continue;
    }
    if (!is_continuation(c)) {
      ++count;
    }
    if (escaped) {
      escaped = false;
    } else if (in_string && c == '\\') {
      escaped = true;
    } else if (c == '"') {
      in_string = !in_string;
    }
  }
  return count;
}

Result<std::vector<std::string>> read_texts(const json::value& value, const std::string& where) {
  std::vector<std::string> texts;
  if (value.is_string()) {
    texts.emplace_back(text_of(value.get_string()));
    return texts;
  }
  if (!value.is_array()) {
    return malformed(where + " must be a string or a list of strings");
  }
  for (const json::value& element : value.get_array()) {
    if (!element.is_string()) {
      return malformed(where + "[" + std::to_string(texts.size()) + "] must be a string");
    }
    texts.emplace_back(text_of(element.get_string()));
  }
  if (texts.empty()) {
    return malformed(where + " must not be empty");
  }
  return texts;
}

Result<std::string> read_condition_value(const json::value& value, const std::string& where) {
  if (value.is_string()) {
    return std::string(text_of(value.get_string()));
  }
  if (value.is_number() || value.is_bool()) {
    return to_json(value);
  }
  return malformed(where + " must be a string, a number or a boolean, or a list of such");
}

struct OperatorName {
  Operator op;
  SetMode set_mode = SetMode::kNone;
  bool if_exists = false;
};

Result<OperatorName> read_operator(std::string_view name, const std::string& where) {
  OperatorName result{};
  std::string_view rest = name;
  const auto cut_prefix = [&rest](std::string_view prefix) {
    const bool has = rest.starts_with(prefix);
    rest.remove_prefix(has ? prefix.size() : 0);
    return has;
  };
  if (cut_prefix("ForAllValues:")) {
    result.set_mode = SetMode::kForAllValues;
  } else if (cut_prefix("ForAnyValue:")) {
    result.set_mode = SetMode::kForAnyValue;
  }
  if (rest.ends_with("IfExists")) {
    result.if_exists = true;
    rest.remove_suffix(std::string_view("IfExists").size());
  }
  const auto* const found = std::find(kOperators.begin(), kOperators.end(), rest);
  if (found == kOperators.end()) {
    return malformed(where + ": unknown operator '" + std::string(name) + "'");
  }
  result.op = static_cast<Operator>(found - kOperators.begin());
  return result;
}

Status read_condition_block(
    const json::value& value, const std::string& where, std::vector<Condition>& conditions
) {
  if (!value.is_object()) {
    return malformed(where + " must be an object of operators");
  }
  for (const auto& [op_name, keys] : value.get_object()) {
    const std::string op_where = where + "." + std::string(text_of(op_name));
    IOTCORE_ASSIGN(const OperatorName op, read_operator(text_of(op_name), where));
    if (!keys.is_object()) {
      return malformed(op_where + " must be an object of condition keys");
    }
    for (const auto& [key, values] : keys.get_object()) {
      Condition condition{
          .op = op.op,
          .set_mode = op.set_mode,
          .if_exists = op.if_exists,
          .key = std::string(text_of(key)),
          .values = {},
      };
      const std::string key_where = op_where + "." + condition.key;
      if (values.is_array()) {
        for (const json::value& element : values.get_array()) {
          IOTCORE_ASSIGN(std::string text, read_condition_value(element, key_where));
          condition.values.push_back(std::move(text));
        }
      } else {
        IOTCORE_ASSIGN(std::string text, read_condition_value(values, key_where));
        condition.values.push_back(std::move(text));
      }
      conditions.push_back(std::move(condition));
    }
  }
  return {};
}

Status check_statement_keys(const json::object& object, const std::string& where) {
  static constexpr std::array<std::string_view, 7> kKeys = {
      "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"};
  for (const auto& member : object) {
    const std::string_view key = text_of(member.key());
    if (key == "Principal" || key == "NotPrincipal") {
      return malformed(
          where + "." + std::string(key) +
          " is not allowed: the policy is attached to its principals"
      );
    }
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
      return malformed(where + ": unknown key '" + std::string(key) + "'");
    }
  }
  return {};
}

// One of `name` and Not`name` and not both: the texts, and whether it was the Not.
Result<std::pair<std::vector<std::string>, bool>> read_either(
    const json::object& object, const std::string& name, const std::string& where
) {
  const std::string not_name = "Not" + name;
  const json::value* plain = find_member(object, name);
  const json::value* negated = find_member(object, not_name);
  if (plain != nullptr && negated != nullptr) {
    return malformed(where + " has both " + name + " and " + not_name);
  }
  if (plain == nullptr && negated == nullptr) {
    return malformed(where + "." + name + " is missing");
  }
  const bool is_not = negated != nullptr;
  const json::value& value = is_not ? *negated : *plain;
  IOTCORE_ASSIGN(
      std::vector<std::string> texts, read_texts(value, where + "." + (is_not ? not_name : name))
  );
  return std::pair(std::move(texts), is_not);
}

Result<Statement> read_statement(const json::value& value, const std::string& where) {
  if (!value.is_object()) {
    return malformed(where + " must be an object");
  }
  const json::object& object = value.get_object();
  IOTCORE_TRY(check_statement_keys(object, where));
  Statement statement{};
  if (const json::value* sid = find_member(object, "Sid")) {
    if (!sid->is_string()) {
      return malformed(where + ".Sid must be a string");
    }
    statement.sid = text_of(sid->get_string());
  }
  const json::value* effect = find_member(object, "Effect");
  if (effect == nullptr || !effect->is_string() ||
      (effect->get_string() != "Allow" && effect->get_string() != "Deny")) {
    return malformed(where + ".Effect must be \"Allow\" or \"Deny\"");
  }
  statement.effect = effect->get_string() == "Allow" ? Effect::kAllow : Effect::kDeny;
  IOTCORE_ASSIGN(auto actions, read_either(object, "Action", where));
  IOTCORE_ASSIGN(auto resources, read_either(object, "Resource", where));
  std::tie(statement.actions, statement.not_action) = std::move(actions);
  std::tie(statement.resources, statement.not_resource) = std::move(resources);
  if (const json::value* block = find_member(object, "Condition")) {
    IOTCORE_TRY(read_condition_block(*block, where + ".Condition", statement.conditions));
  }
  return statement;
}

Result<bool> read_version(const json::object& object) {
  const json::value* version = find_member(object, "Version");
  if (version == nullptr || !version->is_string() ||
      (version->get_string() != "2012-10-17" && version->get_string() != "2008-10-17")) {
    return malformed("Version must be \"2012-10-17\" or \"2008-10-17\"");
  }
  return version->get_string() == "2012-10-17";
}

Status read_statements(const json::value& value, std::vector<Statement>& statements) {
  if (!value.is_array()) {
    IOTCORE_ASSIGN(Statement statement, read_statement(value, "Statement"));
    statements.push_back(std::move(statement));
    return {};
  }
  std::set<std::string> sids;
  for (const json::value& element : value.get_array()) {
    const std::string where = "Statement[" + std::to_string(statements.size()) + "]";
    IOTCORE_ASSIGN(Statement statement, read_statement(element, where));
    if (!statement.sid.empty() && !sids.insert(statement.sid).second) {
      return malformed(where + ".Sid '" + statement.sid + "' is taken by an earlier statement");
    }
    statements.push_back(std::move(statement));
  }
  if (statements.empty()) {
    return malformed("Statement must not be empty");
  }
  return {};
}

}  // namespace

Result<Document> parse_document(std::string_view text, const Limits& limits) {
  if (text.size() > limits.bytes_max) {
    return malformed(
        "the document has " + std::to_string(text.size()) + " bytes, allowed are " +
        std::to_string(limits.bytes_max)
    );
  }
  const std::size_t characters = count_characters(text);
  if (characters > limits.characters_max) {
    return malformed(
        "the document has " + std::to_string(characters) +
        " characters without white space, allowed are " + std::to_string(limits.characters_max)
    );
  }
  Result<json::value> value =
      parse_json(text, {.bytes_max = limits.bytes_max, .depth_max = kDepthMax});
  if (!value) {
    return malformed(value.error().message());
  }
  if (const std::optional<std::string> key = find_duplicate_key(text)) {
    return malformed("the key '" + *key + "' stands twice in one object");
  }
  if (!value->is_object()) {
    return malformed("the document must be an object");
  }
  const json::object& object = value->get_object();
  for (const auto& member : object) {
    if (member.key() != "Version" && member.key() != "Statement") {
      return malformed("unknown key '" + std::string(text_of(member.key())) + "'");
    }
  }
  Document document{};
  IOTCORE_ASSIGN(document.has_variables, read_version(object));
  const json::value* statements = find_member(object, "Statement");
  if (statements == nullptr) {
    return malformed("Statement is missing");
  }
  IOTCORE_TRY(read_statements(*statements, document.statements));
  return document;
}

}  // namespace iotcore::registry::policy
