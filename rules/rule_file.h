#pragma once

#include "base/json.h"
#include "rules/rule_definition.h"
#include "rules/sql/source_error.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

using sql::SourceError;

// CREATE RULE of a file.
struct FileRule {
  RuleDefinition definition;
  std::uint32_t offset = 0;  // of CREATE
  // Where things stand in the file, by JSON pointer in TopicRulePayload: "/actions/0",
  // "/actions/0/republish/topic",
  // "/errorAction", "/sql". The last known parent of a pointer is where an error about it belongs:
  // see position_of().
  std::map<std::string, std::uint32_t, std::less<>> offsets;

  std::uint32_t position_of(std::string_view pointer) const;
  // The place in the file of a place in definition.sql, whose comments were left out.
  std::uint32_t position_in_sql(std::size_t sql_offset) const;

  struct SqlPiece {
    std::uint32_t sql_offset;
    std::uint32_t file_offset;
  };

  std::vector<SqlPiece> sql_pieces;
};

// CREATE TARGET: what a name in an action means. secret('x') is the object {"$secret": "x"}.
struct FileTarget {
  std::string name;
  std::string kind;
  json::object options;
  std::uint32_t offset = 0;
  std::map<std::string, std::uint32_t, std::less<>> offsets;  // "/host", …

  std::uint32_t position_of(std::string_view pointer) const;
};

// TEST: what a rule does with a message.
struct FileTest {
  enum class Expect : std::uint8_t { kNone, kError, kResult };

  std::string rule;
  std::string topic;
  std::optional<std::string> client_id;
  json::object properties;
  std::string payload;
  Expect expect = Expect::kNone;
  json::value result;
  std::vector<std::string>
      any;  // JSON pointers into `result` where ANY was written: every value will do
  std::uint32_t offset = 0;
};

struct RuleFile {
  enum class Kind : std::uint8_t { kRule, kTarget, kTest };

  // Where each statement stands, in the order of the text.
  struct Place {
    Kind kind;
    std::size_t index;  // in rules, targets or tests
    std::uint32_t begin;
    std::uint32_t end;  // one past its `;`
  };

  std::vector<FileRule> rules;
  std::vector<FileTarget> targets;
  std::vector<FileTest> tests;
  std::vector<Place> places;
};

struct ParsedRuleFile {
  RuleFile file;
  std::vector<SourceError> errors;  // in the order of the text; a file with any is refused whole
};

// Parses the whole file; after an error it goes on behind the next `;`, so that one run shows every
// statement's first error. Statements and templates are compiled for their errors; members of
// actions are left to the actions.
ParsedRuleFile parse_rule_file(std::string_view text);

// Canonical text, one statement after the other.
std::string format_rule(const RuleDefinition& rule);
std::string format_target(const FileTarget& target);
std::string format_test(const FileTest& test);
// The whole file with its targets and tests. Comments between statements are kept; a statement with a comment inside is
// left as it is.
Result<std::string> format_rule_file(std::string_view text);

}  // namespace iotcore::rules
