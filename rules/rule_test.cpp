#include "rules/rule_test.h"

#include "base/crypto.h"
#include "broker/topic.h"
#include "rules/rule_file_values.h"
#include "rules/sql/evaluation.h"

#include <algorithm>

namespace iotcore::rules {
namespace {

constexpr std::int64_t kTestTimeMs = 1'700'000'000'000;

class SameRandom final : public sql::Random {
 public:
  std::uint64_t next() override {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return state_ ^ (state_ >> 29);
  }

 private:
  std::uint64_t state_ = 1;
};

bool matches_at(
    const json::value& expected,
    const std::vector<std::string>& any,
    const json::value& got,
    const std::string& pointer
) {
  if (std::find(any.begin(), any.end(), pointer) != any.end()) {
    return true;
  }
  if (expected.is_number() && got.is_number()) {
    return expected == got || expected.to_number<double>() == got.to_number<double>();
  }
  if (expected.kind() != got.kind()) {
    return false;
  }
  if (expected.is_array()) {
    const json::array& a = expected.get_array();
    const json::array& b = got.get_array();
    bool same = a.size() == b.size();
    for (std::size_t i = 0; same && i < a.size(); ++i) {
      same = matches_at(a[i], any, b[i], pointer + "/" + std::to_string(i));
    }
    return same;
  }
  if (expected.is_object()) {
    const json::object& a = expected.get_object();
    const json::object& b = got.get_object();
    return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const auto& member) {
             const json::value* const other = b.if_contains(member.key());
             return other != nullptr &&
                    matches_at(
                        member.value(), any, *other, pointer + "/" + escaped_pointer(member.key())
                    );
           });
  }
  return expected == got;
}

// The message of a test. Holds what the view points into.
class TestMessage {
 public:
  explicit TestMessage(const FileTest& test) : properties_(test.properties) {
    view_.topic = test.topic;
    const std::string prefix = "$aws/rules/" + test.rule + "/";
    if (view_.topic.starts_with(prefix)) {
      view_.topic.remove_prefix(prefix.size());
      is_basic_ingest_ = true;
    }
    view_.client_id = test.client_id ? std::string_view(*test.client_id) : "test";
    view_.principal = text("principal").value_or("test");
    view_.source_ip = text("source_ip").value_or("127.0.0.1");
    view_.trace_id = "00000000-0000-4000-8000-000000000000";
    view_.account_id = "000000000000";
    view_.timestamp_ms = kTestTimeMs;
    view_.content_type = text("content_type");
    view_.response_topic = text("response_topic");
    if (const std::optional<std::string_view> data = text("correlation_data")) {
      correlation_data_ = from_base64(*data).value_or(std::string(*data));
      view_.correlation_data = correlation_data_;
    }
    if (const std::optional<std::string_view> format = text("format_indicator")) {
      view_.payload_is_utf8 = *format == "UTF8_DATA";
    }
    const json::value* const user = find_member(properties_, "user_properties");
    if (user != nullptr && user->is_object()) {
      for (const auto& member : user->get_object()) {
        if (member.value().is_string()) {
          user_properties_.emplace_back(member.key(), member.value().get_string());
        }
      }
    }
    view_.user_properties = user_properties_;
  }

  const sql::MessageView& view() const { return view_; }

  bool is_basic_ingest() const { return is_basic_ingest_; }

 private:
  std::optional<std::string_view> text(std::string_view name) const {
    const json::value* const value = find_member(properties_, name);
    if (value == nullptr || !value->is_string()) {
      return std::nullopt;
    }
    return std::string_view(value->get_string());
  }

  const json::object& properties_;
  std::string correlation_data_;
  std::vector<std::pair<std::string_view, std::string_view>> user_properties_;
  sql::MessageView view_;
  bool is_basic_ingest_ = false;
};

// What came out, in words, or the result as JSON.
struct Came {
  FileTest::Expect what = FileTest::Expect::kNone;
  std::string text;
};

Came evaluate(const FileTest& test, const sql::Program& program, sql::ExternalFunctions& external) {
  const TestMessage message(test);
  const bool is_given =
      message.is_basic_ingest() ||
      (program.topic_filter() && broker::topic_matches(*program.topic_filter(), test.topic, false));
  if (!is_given) {
    return {FileTest::Expect::kNone, "nothing: the topic is not of the rule's filter"};
  }
  sql::ParsedPayload payload(test.payload);
  SameRandom random;
  sql::Evaluation evaluation(program, message.view(), payload, external, random);
  const auto output = evaluation.run();
  if (!output) {
    return {FileTest::Expect::kError, "an error: " + output.error().message()};
  }
  if (!*output) {
    return {FileTest::Expect::kNone, "nothing: WHERE is not true"};
  }
  return {FileTest::Expect::kResult, std::string((*output)->view())};
}

std::string shown_expectation(const FileTest& test) {
  const std::string text = format_test(test);
  const std::size_t at = text.rfind("EXPECT ") + 7;
  return text.substr(at, text.size() - at - 2);
}

TestOutcome run_test(const FileTest& test, const RuleFile& file, sql::ExternalFunctions& external) {
  TestOutcome outcome{&test, false, {}};
  const auto rule = std::find_if(file.rules.begin(), file.rules.end(), [&](const FileRule& each) {
    return each.definition.name == test.rule;
  });
  if (rule == file.rules.end()) {
    outcome.message = "there is no rule " + test.rule + " in this file";
    return outcome;
  }
  const auto program = sql::compile(
      rule->definition.sql,
      sql::parse_version(rule->definition.version).value_or(sql::Version::k2016_03_23)
  );
  if (!program) {
    outcome.message = program.error().message();
    return outcome;
  }
  const Came came = evaluate(test, *program, external);
  outcome.passed = came.what == test.expect;
  if (outcome.passed && came.what == FileTest::Expect::kResult) {
    const auto got = parse_json(came.text);
    outcome.passed = got && matches_expectation(test.result, test.any, *got);
  }
  if (!outcome.passed) {
    outcome.message = "expected " + shown_expectation(test) + ", got " + came.text;
  }
  return outcome;
}

}  // namespace

bool matches_expectation(
    const json::value& expected, const std::vector<std::string>& any, const json::value& got
) {
  return matches_at(expected, any, got, "");
}

std::vector<TestOutcome> run_tests(const RuleFile& file, sql::ExternalFunctions& external) {
  std::vector<TestOutcome> outcomes;
  outcomes.reserve(file.tests.size());
  for (const FileTest& test : file.tests) {
    outcomes.push_back(run_test(test, file, external));
  }
  return outcomes;
}

}  // namespace iotcore::rules
