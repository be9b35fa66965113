#include "base/crypto.h"
#include "base/json.h"
#include "broker/topic.h"
#include "rules/sql/evaluation.h"
#include "tests/vectors/vectors.h"

#include <re2/re2.h>

#include <cmath>
#include <map>
#include <set>
#include <string>

namespace iotcore::vectors {
namespace {

namespace sql = rules::sql;

std::string string_member(
    const json::object& object, std::string_view name, std::string fallback = {}
) {
  const json::value* const value = find_member(object, name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : fallback;
}

bool flag(const json::object& object, std::string_view name) {
  const json::value* const value = find_member(object, name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

bool is_number(const json::value& v) {
  return v.is_double() || v.is_int64() || v.is_uint64();
}

double number(const json::value& v) {
  return v.to_number<double>();
}

bool equal(const json::value& a, const json::value& b, bool approximately) {
  if (is_number(a) && is_number(b)) {
    const double x = number(a);
    const double y = number(b);
    return approximately ? std::fabs(x - y) <= 1e-12 * std::max(1.0, std::fabs(x)) : x == y;
  }
  if (a.kind() != b.kind()) {
    return false;
  }
  if (a.is_array()) {
    const json::array& x = a.get_array();
    const json::array& y = b.get_array();
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), [&](const auto& p, const auto& q) {
      return equal(p, q, approximately);
    });
  }
  if (a.is_object()) {
    const json::object& x = a.get_object();
    const json::object& y = b.get_object();
    return x.size() == y.size() && std::all_of(x.begin(), x.end(), [&](const auto& member) {
             const json::value* const other = y.if_contains(member.key());
             return other != nullptr && equal(member.value(), *other, approximately);
           });
  }
  return a == b;
}

// Answers as the vector's `stubs` say.
class Stubs final : public sql::ExternalFunctions {
 public:
  explicit Stubs(const json::value* stubs) : stubs_(stubs) {}

  Result<std::string> call(std::string_view function, const json::array& arguments) override {
    if (stubs_ == nullptr) {
      return fail(Errc::kUnavailable, "no stub");
    }
    for (const json::value& each : stubs_->get_array()) {
      const json::object& stub = each.get_object();
      if (string_member(stub, "fn") != function ||
          !equal(*find_member(stub, "args"), json::value(arguments), false)) {
        continue;
      }
      if (const json::value* const result = find_member(stub, "result")) {
        return to_json(*result);
      }
      return fail(Errc::kUnavailable, string_member(stub, "error"));
    }
    return fail(Errc::kUnavailable, "no stub for these arguments");
  }

 private:
  const json::value* stubs_;
};

class Sequence final : public sql::Random {
 public:
  std::uint64_t next() override {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_ = 1;
};

// One line of the file.
class Vector {
 public:
  explicit Vector(const json::object& vector) : vector_(vector) {
    topic_ = string_member(vector, "topic");
    if (const json::value* const payload = find_member(vector, "payload")) {
      payload_ = to_json(*payload);
    } else {
      payload_ = from_base64(string_member(vector, "payload_b64")).value_or("");
    }
    if (const json::value* const context = find_member(vector, "context")) {
      context_ = context->get_object();
    }
    fill_message();
  }

  // Empty: as expected.
  struct Outcome {
    std::string expected;
    std::string got;
    bool is_right = false;
  };

  Outcome run() {
    Outcome outcome;
    outcome.expected = expectation();
    auto program = sql::compile(
        string_member(vector_, "sql"),
        sql::parse_version(string_member(vector_, "version")).value_or(sql::Version::k2016_03_23)
    );
    if (!program) {
      outcome.is_right = flag(vector_, "expect_parse_error");
      outcome.got = "parse error: " + program.error().message();
      return outcome;
    }
    if (flag(vector_, "expect_parse_error")) {
      outcome.got = "no parse error";
      return outcome;
    }
    if (!matches(*program)) {
      outcome.is_right = flag(vector_, "expect_none");
      outcome.got = "nothing: the filter does not match";
      return outcome;
    }
    evaluate(*program, outcome);
    return outcome;
  }

 private:
  void fill_message() {
    const auto text = [&](std::string_view name, std::string fallback) -> std::string_view {
      return texts_[std::string(name)] = string_member(context_, name, std::move(fallback));
    };
    message_.topic = topic_;
    if (const json::value* const client = find_member(vector_, "client_id"); client->is_string()) {
      client_id_ = string_member(vector_, "client_id");
      message_.client_id = client_id_;
    }
    message_.principal = text("principal", "");
    message_.source_ip = text("source_ip", "127.0.0.1");
    account_id_ = string_member(vector_, "account_id", "123456789012");
    message_.account_id = account_id_;
    message_.trace_id = "0f0e0d0c-0b0a-4908-8706-050403020100";
    message_.timestamp_ms = 1'760'000'000'123;
    if (const json::value* const mqtt = find_member(context_, "mqtt")) {
      fill_properties(mqtt->get_object());
    }
    if (const json::value* const pairs = find_member(context_, "user_properties")) {
      for (const json::value& pair : pairs->get_array()) {
        properties_.emplace_back(pair.at(0).as_string(), pair.at(1).as_string());
      }
    }
    message_.user_properties = properties_;
  }

  void fill_properties(const json::object& mqtt) {
    for (const auto& member : mqtt) {
      const std::string name(member.key());
      texts_[name] = std::string(member.value().as_string());
      if (name == "content_type") {
        message_.content_type = texts_[name];
      } else if (name == "response_topic") {
        message_.response_topic = texts_[name];
      } else if (name == "format_indicator") {
        message_.payload_is_utf8 = texts_[name] == "UTF8_DATA";
      } else if (name == "correlation_data") {
        texts_[name] = from_base64(texts_[name]).value_or("");
        message_.correlation_data = texts_[name];
      }
    }
  }

  bool matches(const sql::Program& program) {
    const std::string prefix = "$aws/rules/" + string_member(vector_, "rule_name") + "/";
    if (find_member(vector_, "rule_name") != nullptr && topic_.starts_with(prefix)) {
      message_.topic.remove_prefix(prefix.size());
      return true;
    }
    return program.topic_filter() && broker::topic_matches(*program.topic_filter(), topic_, false);
  }

  void evaluate(const sql::Program& program, Outcome& outcome) {
    sql::ParsedPayload payload(payload_);
    Stubs stubs(find_member(vector_, "stubs"));
    Sequence random;
    sql::Evaluation evaluation(program, message_, payload, stubs, random);
    if (find_member(vector_, "expect_text") != nullptr) {
      auto text = sql::compile_template(string_member(vector_, "template"), program);
      const auto rendered =
          text ? evaluation.render(*text) : Result<std::string>(fail(text.error()));
      outcome.got = rendered ? *rendered : rendered.error().message();
      outcome.is_right = rendered && *rendered == string_member(vector_, "expect_text");
      return;
    }
    const auto result = evaluation.run();
    if (!result) {
      outcome.is_right = flag(vector_, "expect_error");
      outcome.got = "error: " + result.error().message();
    } else if (!*result) {
      outcome.is_right = flag(vector_, "expect_none");
      outcome.got = "nothing";
    } else {
      outcome.got = (*result)->view();
      outcome.is_right = is_expected((*result)->view());
    }
  }

  bool is_expected(std::string_view output) const {
    if (find_member(vector_, "expect_b64") != nullptr) {
      return to_base64(output) == string_member(vector_, "expect_b64");
    }
    if (find_member(vector_, "expect_pattern") != nullptr) {
      return RE2::PartialMatch(std::string(output), string_member(vector_, "expect_pattern"));
    }
    const json::value* const expected = find_member(vector_, "expect");
    const auto got = parse_json(output);
    return expected != nullptr && got && equal(*expected, *got, flag(vector_, "approx"));
  }

  std::string expectation() const {
    for (const auto& member : vector_) {
      const std::string_view name(member.key());
      if (name.starts_with("expect")) {
        return std::string(name) + " " + to_json(member.value());
      }
    }
    return "?";
  }

  const json::object& vector_;
  json::object context_;
  std::string topic_;
  std::string payload_;
  std::string client_id_;
  std::string account_id_;
  std::map<std::string, std::string> texts_;
  std::vector<std::pair<std::string_view, std::string_view>> properties_;
  sql::MessageView message_;
};

}  // namespace

void run_rules(std::istream& in, Report& report) {
  std::string line;
  while (std::getline(in, line)) {
    if (line.empty()) {
      continue;
    }
    const auto parsed = parse_json(line);
    if (!parsed || !parsed->is_object()) {
      report.fail("(a line)", "JSON", line);
      continue;
    }
    const json::object& vector = parsed->get_object();
    const std::string id = string_member(vector, "id");
    const Vector::Outcome outcome = Vector(vector).run();
    if (outcome.is_right) {
      report.pass();
    } else if (flag(vector, "uncertain")) {
      report.differ(id, outcome.expected, outcome.got);
    } else {
      report.fail(id, outcome.expected, outcome.got);
    }
  }
}

}  // namespace iotcore::vectors
