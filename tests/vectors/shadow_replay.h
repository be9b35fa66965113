#pragma once

#include "base/json.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Replays one shadow vector against anything that answers requests.
namespace iotcore::vectors {

// Step N happens at this second plus N.
inline constexpr std::int64_t kShadowStart_s = 1'700'000'000;

// By the last level of the topic: accepted, rejected, documents, delta.
using Answers = std::map<std::string, std::string, std::less<>>;
// (operation, payload, second) -> what is answered
using Answerer = std::function<Answers(std::string_view, std::string_view, std::int64_t)>;

struct Mismatch {
  std::string expected;
  std::string got;
};

inline std::string_view text_of(const json::value& value) {
  return {value.get_string().data(), value.get_string().size()};
}

inline std::string replace_thing(std::string_view text, std::string_view thing) {
  std::string out(text);
  const std::size_t at = out.find("<thing>");
  return at == std::string::npos ? out : out.replace(at, 7, thing);
}

// Whether `got` is what `expected` describes; see the placeholders.
class ComparisonView {
 public:
  ComparisonView(std::string_view thing, std::int64_t now_s) : thing_(thing), now_s_(now_s) {}

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
      return got == kShadowStart_s + std::stoll(std::string(expected.substr(4)));
    }
    return got.is_string() && text_of(got) == replace_thing(expected, thing_);
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

  std::string_view thing_;
  std::int64_t now_s_;
};

// What is wrong with one answer; nothing: it is as expected.
inline std::optional<Mismatch> check_answer(
    const json::value& expected,
    const Answers& answers,
    std::string_view topic,
    const ComparisonView& comparison
) {
  const auto found = answers.find(topic);
  if (expected.is_string() && text_of(expected) == "<any>") {
    return std::nullopt;
  }
  const std::string got = found == answers.end() ? "nothing" : found->second;
  const std::string wanted = std::string(topic) + " " + to_json(expected);
  if (expected.is_null()) {
    return found == answers.end() ? std::nullopt : std::optional(Mismatch{wanted, got});
  }
  const Result<json::value> body = parse_json(got);
  if (!body || !comparison.same(expected, *body)) {
    return Mismatch{wanted, got};
  }
  return std::nullopt;
}

inline Answers run_step(const Answerer& answerer, const json::object& step, std::int64_t now_s) {
  if (const json::value* raw = find_member(step, "update_raw")) {
    return answerer("update", text_of(*raw), now_s);
  }
  if (const json::value* update = find_member(step, "update")) {
    return answerer("update", to_json(*update), now_s);
  }
  const json::value* get = find_member(step, "get");
  const json::value& payload = get != nullptr ? *get : step.at("delete");
  const std::string text = payload.is_bool() ? std::string() : to_json(payload);
  return answerer(get != nullptr ? "get" : "delete", text, now_s);
}

inline std::string shadow_name_of(const json::object& vector) {
  const json::value* name = find_member(vector, "shadow");
  return name == nullptr ? std::string() : std::string(text_of(*name));
}

// The first step that is not answered as it should be; nothing: all are.
inline std::optional<Mismatch> replay_shadow(
    const json::object& vector, std::string_view thing, const Answerer& answerer
) {
  std::int64_t step_number = 0;
  for (const json::value& step : vector.at("steps").get_array()) {
    ++step_number;
    const std::int64_t now_s = kShadowStart_s + step_number;
    const Answers answers = run_step(answerer, step.get_object(), now_s);
    const ComparisonView comparison(thing, now_s);
    for (const auto& [topic, expected] : step.at("expect").get_object()) {
      if (auto wrong = check_answer(expected, answers, {topic.data(), topic.size()}, comparison)) {
        wrong->expected = "step " + std::to_string(step_number) + ": " + wrong->expected;
        return wrong;
      }
    }
  }
  return std::nullopt;
}

}  // namespace iotcore::vectors
