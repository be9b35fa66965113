#pragma once

#include "rules/action.h"
#include "rules/functions/local_functions.h"
#include "rules/functions/remote_function.h"
#include "rules/sink.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::rules {

// What a record of lambda or stepFunctions comes to.
struct FunctionCall {
  std::string name;       // of the function, or of the state machine
  std::string execution;  // of the state machine
  functions::Invocation invocation;
};

// Hands records to functions: those of a batch at once to the local ones, one after the other to those that targets bind elsewhere. A function that
// fails gets the event as often as AWS gives it to an asynchronous one; what keeps it from being called at all is no attempt.
class FunctionSink final : public Sink {
 public:
  using CallOf = FunctionCall (*)(const Record& record);

  // `kind`: of the action, by which targets bind; of a literal.
  FunctionSink(std::string_view kind, CallOf call_of, const SinkEnvironment& environment)
      : kind_(kind), call_of_(call_of), environment_(environment) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override;

  // Functions fail one by one.
  Status probe() override { return {}; }

 private:
  struct Remote {
    TargetRef target;
    std::optional<RemoteFunction> function;
  };

  // Whether executions are started there, and not functions called.
  bool is_machine(const Target& target) const {
    return target.kind == StateMachineTarget::kName ||
           (target.kind == "aws" && kind_ == StateMachineTarget::kName);
  }

  // Nullptr: the function is a local one, or there is none.
  TargetRef bound(const std::string& name) const;
  Result<functions::Answer> call(const TargetRef& target, const FunctionCall& call);

  const std::string_view kind_;
  const CallOf call_of_;
  const SinkEnvironment environment_;
  std::map<std::string, Remote, std::less<>> remotes_;  // by the target's name
};

// What is to be done after a function's answer, or without one.
Outcome outcome_of(const Result<functions::Answer>& answer, const Record& record);

// Whether a function can take the result: JSON, and no more of it than AWS hands over.
Status check_event(const ActionInput& input);

// What an action that calls the function of that name answers as its target(): the target that is the function, or binds it, so that each has a queue of
// its own; empty otherwise.
std::string function_target(
    std::string_view kind, const std::string& name, const SinkEnvironment& environment
);

Result<std::unique_ptr<Sink>> make_function_sink(
    std::string_view kind,
    std::string_view target,
    const SinkEnvironment& environment,
    FunctionSink::CallOf call_of
);

}  // namespace iotcore::rules
