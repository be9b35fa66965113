#pragma once

#include "base/result.h"
#include "rules/sql/environment.h"
#include "rules/sql/message_view.h"
#include "rules/sql/payload.h"
#include "rules/sql/program.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::rules::sql {

struct EvaluationLimits {
  std::size_t result_bytes_max = 128U << 10;
  std::size_t memory_bytes_max = 8U << 20;
  std::uint64_t steps_max = 2'000'000;
};

class Evaluator;  // rules/sql/evaluator.h

// What a rule sends to its actions.
class Output {
 public:
  static Output original(std::string_view payload, bool is_json);
  static Output written(std::string payload, bool is_json);

  // The outgoing payload. Valid while the Output and, if is_original(), the message's payload live.
  std::string_view view() const { return is_original_ ? original_ : written_; }

  std::string take() && { return is_original_ ? std::string(original_) : std::move(written_); }

  bool is_json() const { return is_json_; }

  // Byte for byte the payload that came in: the message itself can be passed on.
  bool is_original() const { return is_original_; }

 private:
  std::string written_;
  std::string_view original_;
  bool is_json_ = true;
  bool is_original_ = false;
};

// One rule meeting one message: the statement's result and the values of its actions' templates,
// with each SET variable computed once. Everything given must outlive it. One thread; make it on
// the stack.
class Evaluation {
 public:
  Evaluation(
      const Program& rule,
      const MessageView& message,
      ParsedPayload& payload,
      ExternalFunctions& external,
      Random& random,
      const EvaluationLimits& limits = {}
  );
  ~Evaluation();
  Evaluation(const Evaluation&) = delete;
  Evaluation& operator=(const Evaluation&) = delete;

  // Nothing: WHERE is not true. An error ends the rule: no action runs, not even the errorAction.
  Result<std::optional<Output>> run();
  // The template's text for this message, Undefined and Null being empty.
  Result<std::string> render(const Template& text);

  // From here on get_secret() is not called for results and templates: what stands there instead (rules/sql/withheld.h) is replaced when it is delivered.
  void set_withholding(bool on);
  // What that begins with; empty: nothing was withheld.
  const std::string& secret_mark() const;
  // The same for what the rule says literally and nobody is to see.
  std::string own(std::string_view member, std::string_view value);
  Result<std::string> render_own(std::string_view member, const Template& text);

 private:
  // An Evaluator, in place: a message that meets a rule and does not match allocates nothing.
  static constexpr std::size_t kEvaluatorBytes = 4608;

  Evaluator& evaluator() { return *reinterpret_cast<Evaluator*>(storage_); }

  const Evaluator& evaluator() const { return *reinterpret_cast<const Evaluator*>(storage_); }

  alignas(std::max_align_t) std::byte storage_[kEvaluatorBytes];
};

}  // namespace iotcore::rules::sql
