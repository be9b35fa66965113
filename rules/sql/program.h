#pragma once

#include "base/result.h"
#include "rules/sql/source_error.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::sql {

// awsIotSqlVersion. `beta` behaves as 2016-03-23.
enum class Version : std::uint8_t { k2015_10_08, k2016_03_23, kBeta };

std::optional<Version> parse_version(std::string_view text);
std::string_view version_text(Version version);

struct CompileOptions {
  bool strict =
      false;  // refuses our extensions: !=, x[n], searched CASE, expressions without a name
  bool strict_undefined =
      false;  // AND and OR with a side that is not Boolean give Undefined even when decided
  bool exact_int_division = false;  // 7 / 2 = 3.5 instead of 3
};

struct ProgramData;  // rules/sql/code.h

// A statement, checked and compiled once, run for every message by an Evaluation. Immutable: any
// thread, several at once.
class Program {
 public:
  explicit Program(std::unique_ptr<const ProgramData> data);
  Program(Program&&) noexcept;
  Program& operator=(Program&&) noexcept;
  ~Program();

  const std::string& sql() const;
  Version version() const;
  // The filter of FROM; none: the rule is reachable by Basic Ingest only.
  const std::optional<std::string>& topic_filter() const;
  // An evaluation may call ExternalFunctions, which may block: it does not belong on the message
  // path.
  bool calls_external() const;
  // Dotted paths of the payload that the statement names; "*" for all of it.
  const std::vector<std::string>& payload_paths() const;
  // What works here but not on AWS, or is probably a mistake.
  const std::vector<SourceError>& notes() const;

  const ProgramData& data() const { return *data_; }

 private:
  std::unique_ptr<const ProgramData> data_;
};

// kSqlParse with line, column and a caret line in the message.
Result<Program> compile(std::string_view sql, Version version, const CompileOptions& options = {});
// The same, with the place as a number for those who know the text as part of a larger one.
tl::expected<Program, SourceError> compile_source(
    std::string_view sql, Version version, const CompileOptions& options = {}
);

// A field of an action with ${expression} parts. It sees the payload and the rule's SET variables,
// not the SELECT result. It belongs to the rule whose program it was compiled with and is rendered
// by an Evaluation of that rule. Any thread.
class Template {
 public:
  explicit Template(std::unique_ptr<const ProgramData> data);
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

  // No ${…} in it: the text is the value.
  bool is_literal() const;
  const std::string& text() const;
  // What it says outside its ${…}, by the name under which it was withheld for `member`: all of a literal by the member's, else see part_of_member.
  std::optional<std::string> literal_part(std::string_view member, std::string_view name) const;
  bool calls_external() const;
  // Also if secrets are withheld.
  bool has_to_wait() const;

  const ProgramData& data() const { return *data_; }

 private:
  std::unique_ptr<const ProgramData> data_;
};

Result<Template> compile_template(std::string_view text, const Program& rule);
tl::expected<Template, SourceError> compile_template_source(
    std::string_view text, const Program& rule
);

}  // namespace iotcore::rules::sql
