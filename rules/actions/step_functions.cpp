#include "rules/actions/step_functions.h"

#include "base/crypto.h"
#include "functions/definition.h"
#include "rules/functions/function_sink.h"
#include "rules/member_reader.h"

#include <fmt/format.h>

namespace iotcore::rules::actions {
namespace {

enum Field : std::size_t { kMachine, kExecution, kFieldCount };

constexpr std::size_t kNameBytesMax = 80;  // AWS's, of an execution

class StepFunctionsAction final : public Action {
 public:
  StepFunctionsAction(
      sql::Template machine, std::optional<sql::Template> prefix, std::string target
  )
      : machine_(std::move(machine)), prefix_(std::move(prefix)), target_(std::move(target)) {}

  std::string target() const override { return target_; }

  std::string resource(const Fields& fields) const override { return fields[kMachine]; }

  Result<Fields> resolve(const ActionInput& input) const override {
    IOTCORE_TRY(check_event(input));
    Fields fields(kFieldCount);
    IOTCORE_ASSIGN(fields[kMachine], input.evaluation.render(machine_));
    if (functions::parse_function_name(fields[kMachine]).name.empty()) {
      return fail(
          Errc::kInvalidRequest,
          fmt::format("stateMachineName '{}' is not a name", fields[kMachine])
      );
    }
    if (prefix_) {
      IOTCORE_ASSIGN(fields[kExecution], input.evaluation.render(*prefix_));
    }
    fields[kExecution] += new_uuid();
    if (fields[kExecution].size() > kNameBytesMax) {
      return fail(
          Errc::kInvalidRequest,
          fmt::format(
              "the name of an execution has at most {} bytes, a UUID among them", kNameBytesMax
          )
      );
    }
    return fields;
  }

 private:
  sql::Template machine_;
  std::optional<sql::Template> prefix_;
  std::string target_;
};

FunctionCall call_of(const Record& record) {
  FunctionCall call;
  call.name = functions::parse_function_name(record.fields[kMachine]).name;
  call.execution = record.fields[kExecution];
  call.invocation.payload = R"({"name":)";
  append_json_string(call.invocation.payload, record.fields[kExecution]);
  call.invocation.payload += R"(,"input":)" + record.payload + "}";
  return call;
}

}  // namespace

ParsedAction StepFunctions::parse(MemberReader& members, const SinkEnvironment& environment) {
  std::optional<sql::Template> machine = members.text_template("stateMachineName");
  std::optional<sql::Template> prefix = members.optional_template("executionNamePrefix");
  members.ignore("roleArn");
  if (members.failed() || !machine) {
    return nullptr;
  }
  std::string target;
  if (machine->is_literal()) {
    const std::string name = functions::parse_function_name(machine->text()).name;
    if (name.empty()) {
      members.fail_member("stateMachineName", "is not a name");
      return nullptr;
    }
    target = function_target(StepFunctions::kName, name, environment);
  }
  return std::make_unique<StepFunctionsAction>(
      std::move(*machine), std::move(prefix), std::move(target)
  );
}

Result<std::unique_ptr<Sink>> StepFunctions::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_function_sink(kName, target, environment, &call_of);
}

}  // namespace iotcore::rules::actions
