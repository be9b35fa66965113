#include "rules/sql/evaluation.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "rules/sql/evaluator.h"

#include <new>

namespace iotcore::rules::sql {

Output Output::original(std::string_view payload, bool is_json) {
  Output output;
  output.original_ = payload;
  output.is_json_ = is_json;
  output.is_original_ = true;
  return output;
}

Output Output::written(std::string payload, bool is_json) {
  Output output;
  output.written_ = std::move(payload);
  output.is_json_ = is_json;
  return output;
}

Result<std::string> NoExternalFunctions::call(
    std::string_view function, const json::array& /*arguments*/
) {
  return fail(Errc::kUnavailable, std::string(function) + "() is not available here");
}

std::uint64_t SystemRandom::next() {
  const std::string bytes = random_bytes(8);
  return ByteReader(bytes).u64();
}

Evaluation::Evaluation(
    const Program& rule,
    const MessageView& message,
    ParsedPayload& payload,
    ExternalFunctions& external,
    Random& random,
    const EvaluationLimits& limits
) {
  static_assert(sizeof(Evaluator) <= kEvaluatorBytes);
  new (storage_) Evaluator(rule.data(), message, payload, external, random, limits);
}

Evaluation::~Evaluation() {
  evaluator().~Evaluator();
}

Result<std::optional<Output>> Evaluation::run() {
  return evaluator().run();
}

Result<std::string> Evaluation::render(const Template& text) {
  return evaluator().render(text.data());
}

void Evaluation::set_withholding(bool on) {
  evaluator().set_withholding(on);
}

const std::string& Evaluation::secret_mark() const {
  return evaluator().secret_mark();
}

std::string Evaluation::own(std::string_view member, std::string_view value) {
  return evaluator().is_withholding()
             ? evaluator().withheld({Withheld::Kind::kMember, std::string(member)})
             : std::string(value);
}

Result<std::string> Evaluation::render_own(std::string_view member, const Template& text) {
  if (text.is_literal()) {
    return own(member, text.text());
  }
  return evaluator().render(text.data(), member);
}

std::optional<Error> Evaluator::ending() const {
  if (failure_) {
    return failure_;
  }
  if (arena_.exhausted()) {
    return Error(
        Errc::kLimitExceeded,
        "the statement needs more than " + std::to_string(limits_.memory_bytes_max) + " bytes"
    );
  }
  return std::nullopt;
}

Result<std::optional<Output>> Evaluator::run() {
  dynamodb_called_ = false;
  if (rule_.where != kNoNode) {
    const bool fires = eval(rule_, rule_.where, nullptr).is_true();
    if (const std::optional<Error> error = ending()) {
      return iotcore::fail(*error);
    }
    if (!fires) {
      return std::optional<Output>();
    }
  }
  return output();
}

Result<std::optional<Output>> Evaluator::output() {
  if (rule_.select.only_star) {
    if (payload_.bytes().size() > limits_.result_bytes_max) {
      return written(std::string(payload_.bytes()), false);
    }
    if (!payload_.is_json()) {
      return std::optional<Output>(Output::original(payload_.bytes(), false));
    }
    const std::uint8_t rewritten =
        static_cast<std::uint8_t>(kHasDuplicates | (rule_.keeps_decimals() ? 0 : kHasWholeDecimal));
    if ((payload_.tape().root().traits & rewritten) == 0) {
      return std::optional<Output>(Output::original(payload_.bytes(), true));
    }
  }
  const Value value = select(rule_, rule_.select, nullptr);
  if (const std::optional<Error> error = ending()) {
    return iotcore::fail(*error);
  }
  if (value.kind() == Kind::kBytes) {
    return written(std::string(value.text()), false);
  }
  const bool is_refused_array = rule_.version == Version::k2015_10_08 && rule_.select.is_value &&
                                value.kind() == Kind::kArray;
  if (value.is_undefined() || is_refused_array) {
    return written({}, false);
  }
  std::string text;
  text.reserve(256);
  values_.append_json(text, value);
  return written(std::move(text), true);
}

Result<std::optional<Output>> Evaluator::written(std::string text, bool is_json) const {
  if (const std::optional<Error> error = ending()) {
    return iotcore::fail(*error);
  }
  if (text.size() > limits_.result_bytes_max) {
    return iotcore::fail(
        Errc::kLimitExceeded,
        "the result has " + std::to_string(text.size()) + " bytes, more than " +
            std::to_string(limits_.result_bytes_max)
    );
  }
  return std::optional<Output>(Output::written(std::move(text), is_json));
}

Result<std::string> Evaluator::render(const ProgramData& text, std::string_view own_member) {
  dynamodb_called_ = false;
  std::string out;
  for (std::size_t i = 0; i < text.parts.size(); ++i) {
    const TemplatePart& part = text.parts[i];
    if (withholds_ && !own_member.empty() && !part.literal.empty()) {
      out.append(withheld({Withheld::Kind::kMember, part_of_member(own_member, i)}));
    } else {
      out.append(part.literal);
    }
    if (part.expression == kNoNode) {
      continue;
    }
    if (withholds(text, part.expression)) {
      out.append(withheld(text, part.expression));
      continue;
    }
    const Value value = eval(text, part.expression, nullptr);
    if (const std::optional<Error> error = ending()) {
      return iotcore::fail(*error);
    }
    if (const std::optional<std::string_view> shown = values_.to_text(value)) {
      out.append(*shown);
    }
    if (out.size() > limits_.result_bytes_max) {
      return iotcore::fail(Errc::kLimitExceeded, "the text of a template is too long");
    }
  }
  return out;
}

}  // namespace iotcore::rules::sql
