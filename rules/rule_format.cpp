#include "base/crypto.h"
#include "rules/rule_file.h"
#include "rules/rule_file_values.h"

#include <algorithm>

namespace iotcore::rules {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    out.push_back(c);
    if (c == '\'') {
      out.push_back(c);
    }
  }
  out.push_back('\'');
  return out;
}

void append_value(std::string& out, const json::value& value);

void append_map(std::string& out, const json::object& map) {
  out.push_back('{');
  bool first = true;
  for (const auto& member : map) {
    out.append(first ? "" : ", ");
    first = false;
    out.append(quoted(member.key()));
    out.append(": ");
    append_value(out, member.value());
  }
  out.push_back('}');
}

void append_value(std::string& out, const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      out.append("NULL");
      return;
    case json::kind::bool_:
      out.append(value.get_bool() ? "TRUE" : "FALSE");
      return;
    case json::kind::string:
      out.append(quoted(value.get_string()));
      return;
    case json::kind::array: {
      out.push_back('[');
      bool first = true;
      for (const json::value& element : value.get_array()) {
        out.append(first ? "" : ", ");
        first = false;
        append_value(out, element);
      }
      out.push_back(']');
      return;
    }
    case json::kind::object: {
      const json::object& object = value.get_object();
      const json::value* const secret = find_member(object, "$secret");
      if (secret != nullptr && secret->is_string() && object.size() == 1) {
        out.append("secret(" + quoted(secret->get_string()) + ")");
      } else {
        append_map(out, object);
      }
      return;
    }
    default:
      append_json(out, value);
  }
}

void append_arguments(std::string& out, const json::object& members, std::string_view left_out) {
  out.push_back('(');
  bool first = true;
  for (const auto& member : members) {
    const std::string_view name(member.key().data(), member.key().size());
    if (name == left_out) {
      continue;
    }
    out.append(first ? "" : ", ");
    first = false;
    out.append(name);
    out.append(" = ");
    append_value(out, member.value());
  }
  out.push_back(')');
}

void append_action(std::string& out, const json::object& action) {
  out.append("DO ");
  out.append(action_kind(action));
  const bool is_own = find_member(action, "iotcore") != nullptr;
  append_arguments(out, action_members(action), is_own ? "type" : "");
  if (const json::object* const delivery = action_delivery(action)) {
    out.append(" WITH ");
    append_arguments(out, *delivery, "");
  }
}

void append_json_with_any(
    std::string& out,
    const json::value& value,
    const std::string& pointer,
    const std::vector<std::string>& any
) {
  if (std::find(any.begin(), any.end(), pointer) != any.end()) {
    out.append("ANY");
  } else if (value.is_object()) {
    out.push_back('{');
    bool first = true;
    for (const auto& member : value.get_object()) {
      out.append(first ? "" : ", ");
      first = false;
      append_json_string(out, member.key());
      out.append(": ");
      append_json_with_any(out, member.value(), pointer + "/" + escaped_pointer(member.key()), any);
    }
    out.push_back('}');
  } else if (value.is_array()) {
    out.push_back('[');
    for (std::size_t i = 0; i < value.get_array().size(); ++i) {
      out.append(i == 0 ? "" : ", ");
      append_json_with_any(out, value.get_array()[i], pointer + "/" + std::to_string(i), any);
    }
    out.push_back(']');
  } else {
    append_json(out, value);
  }
}

// The lines of a gap between statements that say something.
std::string comments_of(std::string_view gap) {
  std::string out;
  while (!gap.empty()) {
    const std::size_t end = std::min(gap.find('\n'), gap.size());
    std::string_view line = gap.substr(0, end);
    gap.remove_prefix(std::min(end + 1, gap.size()));
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first != std::string_view::npos) {
      line = line.substr(0, line.find_last_not_of(" \t\r") + 1);
      const std::string_view text = line.substr(first);
      out.append(text.starts_with("--") || text.starts_with("/*") ? text : line);
      out.push_back('\n');
    }
  }
  return out;
}

bool has_comment(std::string_view statement) {
  sql::Lexer lexer(statement, sql::Lexer::Comments::kRefuse);
  sql::Token token{};
  for (;;) {
    const sql::Lexeme lexeme = lexer.next(token);
    if (lexeme == sql::Lexeme::kEnd || lexeme == sql::Lexeme::kError) {
      return lexeme == sql::Lexeme::kError;  // or JSON that is not SQL: left alone as well
    }
  }
}

}  // namespace

std::string format_rule(const RuleDefinition& rule) {
  std::string out = "CREATE RULE " + rule.name;
  if (!rule.description.empty()) {
    out += "\n  COMMENT " + quoted(rule.description);
  }
  if (rule.version != "2016-03-23") {
    out += "\n  VERSION " + quoted(rule.version);
  }
  if (rule.disabled) {
    out += "\n  DISABLED";
  }
  if (!rule.tags.empty()) {
    json::object tags;
    for (const auto& [key, value] : rule.tags) {
      tags[key] = value;
    }
    out += "\n  TAGS ";
    append_map(out, tags);
  }
  out += "\nAS\n" + rule.sql;
  for (const json::value& action : rule.actions) {
    out += "\n";
    append_action(out, action.get_object());
  }
  if (rule.error_action) {
    out += "\nON ERROR ";
    append_action(out, *rule.error_action);
  }
  return out + ";\n";
}

std::string format_target(const FileTarget& target) {
  std::string out = "CREATE TARGET " + target.name + " AS " + target.kind;
  append_arguments(out, target.options, "");
  return out + ";\n";
}

std::string format_test(const FileTest& test) {
  std::string out = "TEST " + test.rule + " GIVEN TOPIC " + quoted(test.topic);
  if (test.client_id) {
    out += " CLIENT " + quoted(*test.client_id);
  }
  if (!test.properties.empty()) {
    out += " PROPERTIES ";
    append_map(out, test.properties);
  }
  if (!test.payload.empty()) {
    out += parse_json(test.payload) ? " PAYLOAD " + test.payload
                                    : " PAYLOAD BASE64 " + quoted(to_base64(test.payload));
  }
  out += "\n  EXPECT ";
  switch (test.expect) {
    case FileTest::Expect::kNone:
      out += "NONE";
      break;
    case FileTest::Expect::kError:
      out += "ERROR";
      break;
    case FileTest::Expect::kResult:
      append_json_with_any(out, test.result, "", test.any);
  }
  return out + ";\n";
}

Result<std::string> format_rule_file(std::string_view text) {
  const ParsedRuleFile parsed = parse_rule_file(text);
  if (!parsed.errors.empty()) {
    return fail(sql::to_error(parsed.errors.front(), text));
  }
  const RuleFile& file = parsed.file;
  std::string out;
  std::size_t at = 0;
  const RuleFile::Place* previous = nullptr;
  for (const RuleFile::Place& place : file.places) {
    const std::string comments = comments_of(text.substr(at, place.begin - at));
    const bool both_tests = previous != nullptr && previous->kind == RuleFile::Kind::kTest &&
                            place.kind == RuleFile::Kind::kTest;
    if (previous != nullptr && (!both_tests || !comments.empty())) {
      out += "\n";
    }
    out += comments;
    const std::string_view written = text.substr(place.begin, place.end - place.begin);
    if (has_comment(written)) {
      out.append(written);
      out += "\n";
    } else if (place.kind == RuleFile::Kind::kRule) {
      out += format_rule(file.rules[place.index].definition);
    } else if (place.kind == RuleFile::Kind::kTarget) {
      out += format_target(file.targets[place.index]);
    } else {
      out += format_test(file.tests[place.index]);
    }
    at = place.end;
    previous = &place;
  }
  const std::string rest = comments_of(text.substr(at));
  return out + (rest.empty() || out.empty() ? "" : "\n") + rest;
}

}  // namespace iotcore::rules
