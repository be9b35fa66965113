// Any text as a statement, a template, a rule file and a payload: nothing crashes, what goes out as JSON is JSON, what was
// written canonically reads back.
#include "base/json.h"
#include "rules/rule_file.h"
#include "rules/rule_test.h"
#include "rules/sql/evaluation.h"
#include "rules/sql/value.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace iotcore::rules {
namespace {

class Sequence final : public sql::Random {
 public:
  std::uint64_t next() override { return ++state_; }

 private:
  std::uint64_t state_ = 0;
};

std::string rewritten(std::string_view text) {
  sql::JsonTape tape;
  if (!tape.parse(text)) {
    return {};
  }
  sql::Arena arena(64U << 20);
  std::string out;
  sql::Values(arena, false).append_json(out, sql::Value::on_tape(tape, 0));
  return out;
}

// What Boost.JSON takes we take, and what we write is written the same again.
void check_json(std::string_view text) {
  const std::string once = rewritten(text);
  if (once.empty()) {
    if (parse_json(text)) {
      std::abort();
    }
    return;
  }
  if (rewritten(once) != once) {
    std::abort();
  }
}

void check_output(const sql::Output& output) {
  constexpr JsonLimits kDeep{16U << 20, 1000};  // a result may be deeper than its payload
  if (output.is_json() && rewritten(output.view()).empty() && !parse_json(output.view(), kDeep)) {
    std::abort();
  }
}

void check_statement(
    std::string_view sql_text, std::string_view payload_bytes, sql::Version version
) {
  const auto program = sql::compile(sql_text, version);
  if (!program) {
    return;
  }
  sql::MessageView message;
  message.topic = "a/b/c";
  message.timestamp_ms = 1'700'000'000'123;
  sql::ParsedPayload payload(payload_bytes);
  sql::NoExternalFunctions external;
  Sequence random;
  const sql::EvaluationLimits limits{64U << 10, 4U << 20, 20'000};
  sql::Evaluation evaluation(*program, message, payload, external, random, limits);
  if (const auto output = evaluation.run(); output && *output) {
    check_output(**output);
  }
  if (const auto text = sql::compile_template(payload_bytes, *program)) {
    ignore_error(evaluation.render(*text), "any text will do");
  }
}

void check_rule_file(std::string_view text) {
  const ParsedRuleFile parsed = parse_rule_file(text);
  for (const SourceError& error : parsed.errors) {
    if (sql::render(error, text, "f").empty()) {
      std::abort();
    }
  }
  if (!parsed.errors.empty()) {
    return;
  }
  const auto once = format_rule_file(text);
  if (!once || format_rule_file(*once).value_or("") != *once) {
    std::abort();
  }
  if (parse_rule_file(*once).file.rules.size() != parsed.file.rules.size()) {
    std::abort();
  }
}

}  // namespace
}  // namespace iotcore::rules

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace iotcore::rules;
  if (size < 1) {
    return 0;
  }
  // One byte that chooses, a statement, and behind a zero byte a payload, which serves as template too.
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t zero = text.find('\0');
  const std::string_view first = text.substr(0, zero);
  const std::string_view second =
      zero == std::string_view::npos ? std::string_view() : text.substr(zero + 1);
  switch (data[0] % 4) {
    case 0:
      check_statement(first, second, sql::Version::k2015_10_08);
      break;
    case 1:
      check_rule_file(text);
      break;
    case 2:
      check_json(text);
      break;
    default:
      check_statement(first, second, sql::Version::k2016_03_23);
  }
  return 0;
}
