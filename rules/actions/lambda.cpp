#include "rules/actions/lambda.h"

#include "functions/definition.h"
#include "rules/functions/function_sink.h"
#include "rules/member_reader.h"

#include <fmt/format.h>

namespace iotcore::rules::actions {
namespace {

constexpr std::size_t kArn = 0;

Error not_a_function(std::string_view text) {
  return Error(
      Errc::kInvalidRequest,
      fmt::format("functionArn '{}' names no function: arn:aws:lambda:…:function:NAME does", text)
  );
}

class LambdaAction final : public Action {
 public:
  LambdaAction(sql::Template arn, std::string target)
      : arn_(std::move(arn)), target_(std::move(target)) {}

  std::string target() const override { return target_; }

  std::string resource(const Fields& fields) const override { return fields[kArn]; }

  Result<Fields> resolve(const ActionInput& input) const override {
    IOTCORE_TRY(check_event(input));
    IOTCORE_ASSIGN(std::string arn, input.evaluation.render(arn_));
    if (functions::parse_function_name(arn).name.empty()) {
      return fail(not_a_function(arn));
    }
    return Fields{std::move(arn)};
  }

 private:
  sql::Template arn_;
  std::string target_;
};

FunctionCall call_of(const Record& record) {
  FunctionCall call;
  const std::string& arn = record.fields[kArn];
  call.name = functions::parse_function_name(arn).name;
  call.invocation.payload = record.payload;
  if (arn.starts_with("arn:")) {
    call.invocation.function_arn = arn;
  }
  return call;
}

}  // namespace

ParsedAction Lambda::parse(MemberReader& members, const SinkEnvironment& environment) {
  std::optional<sql::Template> arn = members.text_template("functionArn");
  if (members.failed() || !arn) {
    return nullptr;
  }
  std::string target;
  if (arn->is_literal()) {
    const std::string name = functions::parse_function_name(arn->text()).name;
    if (name.empty()) {
      members.fail_member("functionArn", not_a_function(arn->text()).message());
      return nullptr;
    }
    target = function_target(Lambda::kName, name, environment);
  }
  return std::make_unique<LambdaAction>(std::move(*arn), std::move(target));
}

Result<std::unique_ptr<Sink>> Lambda::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_function_sink(kName, target, environment, &call_of);
}

}  // namespace iotcore::rules::actions
