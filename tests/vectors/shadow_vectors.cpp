#include "base/json.h"
#include "shadow/document/names.h"
#include "shadow/document/operations.h"
#include "tests/vectors/vectors.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace iotcore::vectors {
namespace {

namespace document = shadow::document;

constexpr std::string_view kThing = "thing-1";
constexpr std::int64_t kStart = 1'700'000'000;

// The service around the engine, at its smallest: one shadow, and what it publishes.
class Shadow {
 public:
  explicit Shadow(std::string name) : name_(std::move(name)) {}

  using Answers = std::map<std::string, std::string, std::less<>>;

  Answers update(std::string_view payload, std::int64_t now_s) {
    document::ParsedUpdate parsed = document::parse_update(payload);
    if (!parsed.request) {
      return {{"rejected", document::error_body(parsed.request.error(), parsed.client_token)}};
    }
    Result<document::Applied> applied = document::apply_update(
        current_ ? &*current_ : nullptr, tombstone_version_, *parsed.request, now_s
    );
    if (!applied) {
      return {{"rejected", document::error_body(applied.error(), parsed.client_token)}};
    }
    Answers answers = {{"accepted", applied->accepted}, {"documents", applied->documents}};
    if (applied->delta) {
      answers["delta"] = *applied->delta;
    }
    // Through the store and back, as in life.
    Result<document::Document> stored = document::Document::decode(applied->document.encode());
    if (!stored) {
      return {{"rejected", stored.error().message()}};
    }
    current_ = *std::move(stored);
    return answers;
  }

  Answers get(std::string_view payload, std::int64_t now_s) const {
    const document::ClientToken token = document::client_token_of(payload);
    if (!current_) {
      return {{"rejected", document::error_body(document::no_such_shadow(kThing, name_), token)}};
    }
    return {{"accepted", document::get(*current_, now_s, token)}};
  }

  Answers remove(std::string_view payload, std::int64_t now_s) {
    const document::ClientToken token = document::client_token_of(payload);
    if (!current_) {
      return {{"rejected", document::error_body(document::no_such_shadow(kThing, name_), token)}};
    }
    document::Deleted deleted = document::apply_delete(*current_, now_s, token);
    current_.reset();
    tombstone_version_ = deleted.tombstone_version;
    return {{"accepted", std::move(deleted.accepted)}};
  }

 private:
  std::string name_;
  std::optional<document::Document> current_;
  std::uint64_t tombstone_version_ = 0;
};

std::string_view text_of(const json::value& value) {
  return {value.get_string().data(), value.get_string().size()};
}

std::string replace_thing(std::string_view text) {
  std::string out(text);
  const std::size_t at = out.find("<thing>");
  return at == std::string::npos ? out : out.replace(at, 7, kThing);
}

// Whether `got` is what `expected` describes; see the placeholders.
class Comparison {
 public:
  explicit Comparison(std::int64_t now_s) : now_s_(now_s) {}

  bool same(const json::value& expected, const json::value& got) const {
    if (expected.is_string()) {
      return same_text(text_of(expected), got);
    }
    if (expected.is_object()) {
      return got.is_object() && same_objects(expected.get_object(), got.get_object());
    }
    if (expected.is_array()) {
      return got.is_array() &&
             std::equal(
                 expected.get_array().begin(),
                 expected.get_array().end(),
                 got.get_array().begin(),
                 got.get_array().end(),
                 [this](const json::value& a, const json::value& b) { return same(a, b); }
             );
    }
    if (expected.is_number()) {
      return got.is_number() && expected.to_number<double>() == got.to_number<double>();
    }
    return expected == got;
  }

 private:
  bool same_text(std::string_view expected, const json::value& got) const {
    if (expected == "<any>" || expected == "<opt>") {
      return true;
    }
    if (expected == "<ts>") {
      return got == now_s_;
    }
    if (expected.starts_with("<ts:")) {
      return got == kStart + std::stoll(std::string(expected.substr(4)));
    }
    return got.is_string() && text_of(got) == replace_thing(expected);
  }

  bool same_objects(const json::object& expected, const json::object& got) const {
    std::size_t found = 0;
    for (const auto& member : expected) {
      const json::value* value = got.if_contains(member.key());
      if (value == nullptr) {
        if (member.value() == "<opt>") {
          continue;
        }
        return false;
      }
      ++found;
      if (!same(member.value(), *value)) {
        return false;
      }
    }
    return found == got.size();
  }

  std::int64_t now_s_;
};

// What is wrong with one answer; nothing: it is as expected.
std::optional<std::pair<std::string, std::string>> check_answer(
    const json::value& expected,
    const Shadow::Answers& answers,
    std::string_view topic,
    std::int64_t now_s
) {
  const auto found = answers.find(topic);
  if (expected.is_string() && text_of(expected) == "<any>") {
    return std::nullopt;
  }
  const std::string got = found == answers.end() ? "nothing" : found->second;
  const std::string wanted = std::string(topic) + " " + to_json(expected);
  if (expected.is_null()) {
    return found == answers.end() ? std::nullopt : std::optional(std::pair(wanted, got));
  }
  const Result<json::value> body = parse_json(got);
  if (!body || !Comparison(now_s).same(expected, *body)) {
    return std::pair(wanted, got);
  }
  return std::nullopt;
}

Shadow::Answers run_step(Shadow& shadow, const json::object& step, std::int64_t now_s) {
  if (const json::value* raw = find_member(step, "update_raw")) {
    return shadow.update(text_of(*raw), now_s);
  }
  if (const json::value* update = find_member(step, "update")) {
    return shadow.update(to_json(*update), now_s);
  }
  const json::value* get = find_member(step, "get");
  const json::value& payload = get != nullptr ? *get : step.at("delete");
  const std::string text = payload.is_bool() ? std::string() : to_json(payload);
  return get != nullptr ? shadow.get(text, now_s) : shadow.remove(text, now_s);
}

void run_vector(const json::object& vector, Report& report) {
  const json::value* name = find_member(vector, "shadow");
  Shadow shadow(name == nullptr ? std::string() : std::string(text_of(*name)));
  const std::string_view id = text_of(vector.at("id"));
  std::int64_t step_number = 0;
  for (const json::value& step : vector.at("steps").get_array()) {
    ++step_number;
    const std::int64_t now_s = kStart + step_number;
    const Shadow::Answers answers = run_step(shadow, step.get_object(), now_s);
    for (const auto& [topic, expected] : step.at("expect").get_object()) {
      if (const auto wrong = check_answer(expected, answers, {topic.data(), topic.size()}, now_s)) {
        report.fail(
            std::string(id) + " step " + std::to_string(step_number), wrong->first, wrong->second
        );
        return;
      }
    }
  }
  report.pass();
}

}  // namespace

void run_shadow(std::istream& in, Report& report) {
  std::string line;
  while (std::getline(in, line)) {
    const Result<json::value> vector = parse_json(line);
    if (!vector || !vector->is_object()) {
      report.fail(line.substr(0, 60), "a vector", "no JSON object");
      continue;
    }
    run_vector(vector->get_object(), report);
  }
}

}  // namespace iotcore::vectors
