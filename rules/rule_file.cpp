#include "rules/rule_file.h"

#include "base/crypto.h"
#include "rules/action.h"
#include "rules/rule_file_values.h"
#include "rules/sql/lexer.h"
#include "rules/sql/parser.h"
#include "rules/sql/program.h"

#include <algorithm>
#include <set>

namespace iotcore::rules {
namespace {

using sql::equal_ignoring_case;
using sql::Lexeme;
using sql::Lexer;
using sql::Token;

// Recursive descent over one file. The first error of a statement ends it; the next begins behind its `;`.
class FileParser {
 public:
  explicit FileParser(std::string_view text) : text_(text), values_(text) {}

  ParsedRuleFile parse() {
    while (!values_.at_end()) {
      const std::size_t begin = values_.position();
      statement();
      if (const std::optional<SourceError> error = values_.take_error()) {
        parsed_.errors.push_back(*error);
        recover(begin);
      }
    }
    check_names();
    std::stable_sort(
        parsed_.errors.begin(),
        parsed_.errors.end(),
        [](const SourceError& a, const SourceError& b) { return a.offset < b.offset; }
    );
    return std::move(parsed_);
  }

 private:
  // Behind the next `;` that is no part of a string or comment; to the end if the text cannot be cut into lexemes.
  void recover(std::size_t begin) {
    Lexer lexer(text_, Lexer::Comments::kSkip, begin);
    Token token{};
    for (Lexeme lexeme = lexer.next(token); lexeme != Lexeme::kSemicolon;
         lexeme = lexer.next(token)) {
      if (lexeme == Lexeme::kEnd) {
        values_.seek(text_.size());
        return;
      }
      if (lexeme == Lexeme::kError) {
        const std::size_t semicolon = text_.find(';', lexer.error_offset());
        values_.seek(semicolon == std::string_view::npos ? text_.size() : semicolon + 1);
        return;
      }
    }
    values_.seek(lexer.position());
  }

  void statement() {
    const Token first = values_.peek();
    const std::uint32_t begin = first.offset;
    RuleFile& file = parsed_.file;
    RuleFile::Place place{RuleFile::Kind::kRule, file.rules.size(), begin, begin};
    if (values_.accept_word("TEST")) {
      place = {RuleFile::Kind::kTest, file.tests.size(), begin, begin};
      test(begin);
    } else if (values_.accept_word("CREATE")) {
      if (values_.accept_word("TARGET")) {
        place = {RuleFile::Kind::kTarget, file.targets.size(), begin, begin};
        target(begin);
      } else if (values_.expect_word("RULE", "CREATE RULE or CREATE TARGET")) {
        rule(begin);
      }
    } else {
      values_.fail(
          first.offset, "a rule file has CREATE RULE, CREATE TARGET and TEST; not " + shown(first)
      );
    }
    if (values_.expect(Lexeme::kSemicolon, "; at the end of the statement")) {
      place.end = static_cast<std::uint32_t>(values_.position());
      file.places.push_back(place);
    }
  }

  static std::string shown(const Token& token) {
    return token.size == 0 ? "the end of the file" : std::string(token.text());
  }

  void rule(std::uint32_t begin) {
    FileRule rule;
    rule.offset = begin;
    rule.definition.version = "2016-03-23";
    rule.definition.name = values_.word("the rule's name");
    while (!values_.failed() && !values_.accept_word("AS")) {
      clause(rule);
    }
    if (values_.failed()) {
      return;
    }
    rule.offsets["/sql"] = values_.peek().offset;
    statement_text(rule);
    const std::optional<sql::Program> program = compiled(rule);
    if (!program) {
      return;
    }
    while (values_.accept_word("DO")) {
      const std::string pointer = "/actions/" + std::to_string(rule.definition.actions.size());
      rule.definition.actions.push_back(action(rule, pointer, *program));
    }
    if (values_.accept_word("ON")) {
      values_.expect_word("ERROR", "ON ERROR DO action(…)");
      values_.expect_word("DO", "ON ERROR DO action(…)");
      rule.definition.error_action = action(rule, "/errorAction", *program);
    }
    if (!values_.failed()) {
      if (const Status valid = validate(rule.definition); !valid) {
        values_.fail(begin, valid.error().message());
        return;
      }
      parsed_.file.rules.push_back(std::move(rule));
    }
  }

  void clause(FileRule& rule) {
    const Token token = values_.peek();
    if (values_.accept_word("COMMENT")) {
      rule.offsets["/description"] = token.offset;
      rule.definition.description = values_.string("the comment as a string");
    } else if (values_.accept_word("VERSION")) {
      rule.offsets["/awsIotSqlVersion"] = token.offset;
      rule.definition.version = values_.string("the version as a string");
      if (!values_.failed() && !sql::parse_version(rule.definition.version)) {
        values_.fail(token.offset, "VERSION is '2016-03-23' or '2015-10-08'");
      }
    } else if (values_.accept_word("DISABLED")) {
      rule.definition.disabled = true;
    } else if (values_.accept_word("TAGS")) {
      const json::value tags = values_.value(false, "/tags", rule.offsets);
      if (!tags.is_object()) {
        values_.fail(token.offset, "TAGS is a map: {'key': 'value'}");
        return;
      }
      for (const auto& tag : tags.get_object()) {
        if (!tag.value().is_string()) {
          values_.fail(token.offset, "a tag's value is a string");
          return;
        }
        rule.definition.tags.emplace_back(tag.key(), tag.value().get_string());
      }
    } else {
      static constexpr std::string_view kClauses[] = {
          "AS", "COMMENT", "VERSION", "DISABLED", "TAGS"};
      const std::string_view meant = sql::nearest(token.text(), kClauses);
      values_.fail(
          token.offset,
          "expected COMMENT, VERSION, DISABLED, TAGS or AS SELECT …, not " + shown(token) +
              (meant.empty() ? "" : "; did you mean " + std::string(meant) + "?")
      );
    }
  }

  // Takes the SELECT up to DO, ON ERROR or `;` behind a complete statement, and its text without comments.
  void statement_text(FileRule& rule) {
    Lexer lexer(text_, Lexer::Comments::kSkip, values_.position());
    OperandTracker tracker;
    std::size_t end = std::string_view::npos;  // of the last lexeme
    std::size_t gap = 0;
    for (;;) {
      const std::size_t before = lexer.position();
      Token token{};
      const Lexeme lexeme = lexer.next(token);
      if (lexeme == Lexeme::kError) {
        values_.fail(lexer.error_offset(), lexer.error());
        return;
      }
      const bool ends =
          lexeme == Lexeme::kEnd || lexeme == Lexeme::kSemicolon ||
          (tracker.is_behind_operand() && begins_action(lexeme, token, lexer.position()));
      if (ends) {
        values_.seek(end == std::string_view::npos ? before : end);
        return;
      }
      append_piece(rule, end == std::string_view::npos ? token.offset : gap, token);
      tracker.take(lexeme, token.text());
      end = gap = lexer.position();
    }
  }

  // The token with the white space before it; comments between them leave at least a space.
  void append_piece(FileRule& rule, std::size_t from, const Token& token) {
    std::string& out = rule.definition.sql;
    const std::string_view between = text_.substr(from, token.offset - from);
    if (between.find_first_not_of(" \t\r\n") == std::string_view::npos) {
      if (out.empty()) {
        rule.sql_pieces.push_back({0, token.offset});
      }
      out.append(between);
    } else {
      const std::string kept = without_comments(between);
      out.append(kept.empty() ? " " : kept);
      rule.sql_pieces.push_back({static_cast<std::uint32_t>(out.size()), token.offset});
    }
    out.append(token.text());
  }

  // DO kind( or ON ERROR.
  bool begins_action(Lexeme lexeme, const Token& token, std::size_t after) {
    if (lexeme != Lexeme::kWord) {
      return false;
    }
    Lexer lexer(text_, Lexer::Comments::kSkip, after);
    Token next{};
    const Lexeme second = lexer.next(next);
    if (equal_ignoring_case(token.text(), "ON")) {
      return second == Lexeme::kWord && equal_ignoring_case(next.text(), "ERROR");
    }
    return equal_ignoring_case(token.text(), "DO") && second == Lexeme::kWord &&
           lexer.next(next) == Lexeme::kLeftParen;
  }

  std::optional<sql::Program> compiled(const FileRule& rule) {
    if (values_.failed()) {
      return std::nullopt;
    }
    auto program = sql::compile_source(
        rule.definition.sql,
        sql::parse_version(rule.definition.version).value_or(sql::Version::k2016_03_23)
    );
    if (!program) {
      values_.fail(rule.position_in_sql(program.error().offset), program.error().message);
      return std::nullopt;
    }
    return std::move(*program);
  }

  json::object action(FileRule& rule, const std::string& pointer, const sql::Program& program) {
    rule.offsets[pointer] = values_.peek().offset;
    const std::string kind = values_.word("the kind of action: DO republish(…)");
    const ActionKind* const found = find_action_kind(kind);
    const bool is_own = !kind.empty() && (found == nullptr || !found->is_aws);
    json::object action;
    json::object members;
    if (is_own) {
      members["type"] = kind;
    }
    const std::string name = is_own ? "iotcore" : kind;
    const std::string members_pointer = pointer + "/" + name;
    rule.offsets[members_pointer] = rule.offsets[pointer];
    values_.arguments(members, false, members_pointer, rule.offsets, &program);
    expand_headers(kind, members);
    action[name] = std::move(members);
    if (values_.accept_word("WITH")) {
      json::object delivery;
      values_.arguments(delivery, false, pointer + "/iotcoreDelivery", rule.offsets, nullptr);
      action["iotcoreDelivery"] = std::move(delivery);
    }
    return action;
  }

  // headers = {'k': 'v'} for [{"key": "k", "value": "v"}], where AWS's shape is that list.
  static void expand_headers(const std::string& kind, json::object& members) {
    const json::value* const headers = find_member(members, "headers");
    const bool has_list = kind == "http" || kind == "kafka" || kind == "webhook";
    if (!has_list || headers == nullptr || !headers->is_object()) {
      return;
    }
    json::array list;
    for (const auto& header : headers->get_object()) {
      list.push_back(json::object{{"key", header.key()}, {"value", header.value()}});
    }
    members["headers"] = std::move(list);
  }

  void target(std::uint32_t begin) {
    FileTarget target;
    target.offset = begin;
    target.name = values_.word("the target's name");
    values_.expect_word("AS", "AS kind(…)");
    target.kind = values_.word("the kind of target");
    values_.arguments(target.options, true, "", target.offsets, nullptr);
    if (!values_.failed()) {
      parsed_.file.targets.push_back(std::move(target));
    }
  }

  void test(std::uint32_t begin) {
    FileTest test;
    test.offset = begin;
    test.rule = values_.word("the name of the rule to test");
    values_.expect_word("GIVEN", "GIVEN TOPIC '…'");
    values_.expect_word("TOPIC", "GIVEN TOPIC '…'");
    test.topic = values_.string("the topic as a string");
    if (values_.accept_word("CLIENT")) {
      test.client_id = values_.string("the client id as a string");
    }
    if (values_.accept_word("PROPERTIES")) {
      const Token token = values_.peek();
      std::map<std::string, std::uint32_t, std::less<>> offsets;
      json::value properties = values_.value(false, "", offsets);
      if (!properties.is_object()) {
        values_.fail(token.offset, "PROPERTIES is a map: {'content_type': 'text/plain'}");
        return;
      }
      test.properties = std::move(properties.get_object());
    }
    if (values_.accept_word("PAYLOAD")) {
      payload(test);
    }
    values_.expect_word("EXPECT", "EXPECT NONE, ERROR or the JSON that comes out");
    expectation(test);
    if (!values_.failed()) {
      parsed_.file.tests.push_back(std::move(test));
    }
  }

  void payload(FileTest& test) {
    if (values_.accept_word("BASE64")) {
      const Token token = values_.peek();
      const std::optional<std::string> bytes = from_base64(values_.string("base64 as a string"));
      if (!bytes) {
        values_.fail(token.offset, "not base64");
        return;
      }
      test.payload = *bytes;
      return;
    }
    values_.json(test.payload, nullptr);
  }

  void expectation(FileTest& test) {
    if (values_.accept_word("NONE")) {
      test.expect = FileTest::Expect::kNone;
    } else if (values_.accept_word("ERROR")) {
      test.expect = FileTest::Expect::kError;
    } else {
      test.expect = FileTest::Expect::kResult;
      std::string raw;
      test.result = values_.json(raw, &test.any);
    }
  }

  void check_names() {
    std::set<std::string> names;
    for (const FileRule& rule : parsed_.file.rules) {
      if (!names.insert(rule.definition.name).second) {
        parsed_.errors.push_back(
            {rule.offset, "rule " + rule.definition.name + " stands here twice"}
        );
      }
    }
    names.clear();
    for (const FileTarget& target : parsed_.file.targets) {
      if (!names.insert(target.name).second) {
        parsed_.errors.push_back({target.offset, "target " + target.name + " stands here twice"});
      }
    }
  }

  std::string_view text_;
  ValueReader values_;
  ParsedRuleFile parsed_;
};

}  // namespace

namespace {

// Of the last known parent of a pointer.
std::uint32_t position_in(
    const std::map<std::string, std::uint32_t, std::less<>>& offsets,
    std::string_view pointer,
    std::uint32_t otherwise
) {
  while (!pointer.empty()) {
    if (const auto found = offsets.find(pointer); found != offsets.end()) {
      return found->second;
    }
    pointer = pointer.substr(0, pointer.rfind('/'));
  }
  return otherwise;
}

}  // namespace

std::uint32_t FileRule::position_of(std::string_view pointer) const {
  return position_in(offsets, pointer, offset);
}

std::uint32_t FileTarget::position_of(std::string_view pointer) const {
  return position_in(offsets, pointer, offset);
}

std::uint32_t FileRule::position_in_sql(std::size_t sql_offset) const {
  std::uint32_t position = offset;
  for (const SqlPiece& piece : sql_pieces) {
    if (piece.sql_offset <= sql_offset) {
      position = piece.file_offset + static_cast<std::uint32_t>(sql_offset) - piece.sql_offset;
    }
  }
  return position;
}

ParsedRuleFile parse_rule_file(std::string_view text) {
  if (text.size() > kRuleFileBytesMax) {
    return {{}, {{0, "a rule file has at most " + std::to_string(kRuleFileBytesMax) + " bytes"}}};
  }
  if (const std::optional<SourceError> error = sql::not_utf8(text)) {
    return {{}, {*error}};
  }
  return FileParser(text).parse();
}

}  // namespace iotcore::rules
