#pragma once

#include "base/result.h"
#include "rules/sql/arena.h"
#include "rules/sql/code.h"
#include "rules/sql/evaluation.h"
#include "rules/sql/value.h"
#include "rules/sql/withheld.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::sql {

// JSON text of an evaluation's own: an answer from outside, a decoded string.
struct ParsedText {
  std::string text;
  JsonTape tape;
};

// Walks the code of one rule for one message. What cannot be computed is Undefined; what ends the
// rule is remembered as failure, after which everything is Undefined and no more external calls are
// made.
class Evaluator {
 public:
  Evaluator(
      const ProgramData& rule,
      const MessageView& message,
      ParsedPayload& payload,
      ExternalFunctions& external,
      Random& random,
      const EvaluationLimits& limits
  );

  Result<std::optional<Output>> run();
  // `own_member`: whose text nobody is to see, also where it stands beside ${…}.
  Result<std::string> render(const ProgramData& text, std::string_view own_member = {});

  // See Evaluation.
  void set_withholding(bool on) { withholds_ = on; }

  bool is_withholding() const { return withholds_; }

  const std::string& secret_mark() const { return secret_mark_; }

  std::string withheld(const Withheld& what);

  // For the compiler: one node of unfinished code.
  Value constant(const ProgramData& code, NodeIndex node) { return eval(code, node, nullptr); }

  // For functions.
  const Values& values() const { return values_; }

  const MessageView& message() const { return message_; }

  std::string_view payload_bytes() const { return payload_.bytes(); }

  Version version() const { return rule_.version; }

  Random& random() { return random_; }

  std::optional<std::string_view> text(const Value& value) const { return values_.to_text(value); }

  Value string(std::string_view text);
  // JSON text of which the evaluation keeps a copy; nothing if it is not JSON.
  std::optional<Value> parse(std::string text);
  Value call_external(std::string_view function, std::span<const Value> arguments);
  // Ends the rule, unless get_or_default catches it.
  Value fail(std::string message);
  // Ends the rule for certain: a budget is spent.
  Value exhaust(std::string message);

  bool failed() const { return failure_.has_value(); }

 private:
  struct Variable {
    Value value;
    bool is_known = false;
  };

  // `current` is the element names refer to; nullptr: the payload.
  Value eval(const ProgramData& code, NodeIndex node, const Value* current);
  Value payload();

  Value current_value(const Value* current) { return current != nullptr ? *current : payload(); }

  Value path(const ProgramData& code, const Node& node, Value from) const;
  Value variable(std::uint32_t slot);
  Value call(const ProgramData& code, const Node& node, const Value* current);
  Value get_or_default(const ProgramData& code, const Node& node, const Value* current);
  // The result of a CASE, not evaluated; nothing: Undefined.
  std::optional<NodeIndex> choose(const ProgramData& code, const Node& node, const Value* current);
  Value object(const ProgramData& code, const Node& node, const Value* current);
  Value array(const ProgramData& code, const Node& node, const Value* current);
  Value logic(const ProgramData& code, const Node& node, const Value* current);
  Value binary(const ProgramData& code, const Node& node, const Value* current);
  Value in(const Value& value, const Value& array);
  Value exists(const ProgramData& code, const Node& node, const Value* current);
  Value subquery(const ProgramData& code, const QueryCode& query, const Value* current);
  // One element of a subquery: nothing if its WHERE is not true.
  std::optional<Value> query_row(
      const ProgramData& code, const QueryCode& query, const Value& element
  );
  Value select(const ProgramData& code, const Selection& selection, const Value* current);

  struct Placed {
    Value value;
    int last_item = -1;  // the last of the items in it that is defined
  };

  Placed place(const Selection& selection, std::size_t at, std::span<const Value> items);
  Value merge(const Value& star, const Value& items);
  bool spend();

  // Whether this one is withheld: see residual.cpp.
  bool withholds(const ProgramData& code, NodeIndex index) const;
  std::string withheld(const ProgramData& code, NodeIndex index);
  void append_residual(std::string& out, const ProgramData& code, NodeIndex index);

  Result<std::optional<Output>> output();
  Result<std::optional<Output>> written(std::string text, bool is_json) const;
  std::optional<Error> ending() const;

  const ProgramData& rule_;
  const MessageView& message_;
  ParsedPayload& payload_;
  ExternalFunctions& external_;
  Random& random_;
  EvaluationLimits limits_;
  Arena arena_;
  Values values_;
  std::vector<Variable> variables_;
  std::vector<std::unique_ptr<ParsedText>> texts_;
  std::size_t text_bytes_ = 0;  // of texts_, counted as memory of their own
  std::optional<Error> failure_;
  bool is_exhausted_ = false;
  std::uint64_t steps_ = 0;
  bool dynamodb_called_ = false;
  bool withholds_ = false;
  std::string secret_mark_;
};

// The operators, each on resolved values.
namespace operators {
Value compare(const Values& values, Op op, const Value& a, const Value& b);
Value arithmetic(
    const Values& values, const CompileOptions& options, Op op, const Value& a, const Value& b
);
Value negate(const Values& values, const Value& a);
Value cast(const Values& values, CastType type, const Value& value);
}  // namespace operators

}  // namespace iotcore::rules::sql
