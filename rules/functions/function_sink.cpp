#include "rules/functions/function_sink.h"

#include "rules/bindings.h"

#include <fmt/format.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace iotcore::rules {
namespace {

constexpr std::uint32_t kAttemptsMax = 3;  // AWS: two retries
constexpr std::chrono::seconds kBetweenAttempts{1};

// Collects the answers of one batch.
class Answers {
 public:
  explicit Answers(std::size_t count) : left_(count), answers_(count) {}

  void put(std::size_t i, Result<functions::Answer> answer) {
    const std::lock_guard lock(mutex_);
    answers_[i].emplace(std::move(answer));
    if (--left_ == 0) {
      all_.notify_one();
    }
  }

  std::vector<std::optional<Result<functions::Answer>>> wait() {
    std::unique_lock lock(mutex_);
    all_.wait(lock, [this] { return left_ == 0; });
    return std::move(answers_);
  }

 private:
  std::mutex mutex_;  // and what follows
  std::condition_variable all_;
  std::size_t left_;
  std::vector<std::optional<Result<functions::Answer>>> answers_;
};

}  // namespace

Outcome outcome_of(const Result<functions::Answer>& answer, const Record& record) {
  if (!answer) {
    const Error& error = answer.error();
    const bool is_for_good = error.code() == Errc::kNotFound || error.code() == Errc::kTooLarge ||
                             error.code() == Errc::kForbidden;
    return is_for_good ? Outcome::permanent(error.message()) : Outcome::retry(error.message());
  }
  if (!answer->is_error) {
    return {};
  }
  const std::string why = "the function failed: " + functions::describe_error(*answer);
  const bool is_last = record.attempts_max == 0 && record.attempts + 1 >= kAttemptsMax;
  return is_last ? Outcome::permanent(why) : Outcome::retry_alone(why, kBetweenAttempts);
}

Status check_event(const ActionInput& input) {
  if (!input.is_json) {
    return fail(
        Errc::kInvalidRequest,
        "the result is not JSON; SELECT encode(*, 'base64') AS data makes JSON of anything"
    );
  }
  if (input.payload.size() > functions::kEventBytesMax) {
    return fail(
        Errc::kTooLarge,
        fmt::format(
            "the result has {} bytes; a function takes {}",
            input.payload.size(),
            functions::kEventBytesMax
        )
    );
  }
  return {};
}

std::string function_target(
    std::string_view kind, const std::string& name, const SinkEnvironment& environment
) {
  if (environment.targets == nullptr) {
    return {};
  }
  const TargetRef target = environment.targets->find(name);
  if (target != nullptr && target->kind == FunctionTarget::kName) {
    return name;
  }
  const TargetRef bound = environment.targets->bind(kind, name);
  return bound == nullptr ? std::string() : bound->name;
}

Result<std::unique_ptr<Sink>> make_function_sink(
    std::string_view kind,
    std::string_view target,
    const SinkEnvironment& environment,
    FunctionSink::CallOf call_of
) {
  if (environment.functions == nullptr || environment.targets == nullptr) {
    return fail(Errc::kUnavailable, "there are no functions here");
  }
  if (!target.empty()) {
    IOTCORE_TRY(target_of_sink(target, environment));
  }
  return std::make_unique<FunctionSink>(kind, call_of, environment);
}

TargetRef FunctionSink::bound(const std::string& name) const {
  return environment_.functions->has(name) ? nullptr : environment_.targets->bind(kind_, name);
}

Result<functions::Answer> FunctionSink::call(const TargetRef& target, const FunctionCall& call) {
  Remote& remote = remotes_[target->name];
  if (remote.target != target || !remote.function) {
    const std::string_view service = is_machine(*target) ? kStatesService : kLambdaService;
    IOTCORE_ASSIGN(
        RemoteFunction function, RemoteFunction::open(*target, *environment_.targets, service)
    );
    remote.function.emplace(std::move(function));
    remote.target = target;
  }
  return is_machine(*target)
             ? remote.function->start_execution(call.name, call.execution, call.invocation)
             : remote.function->call(call.name, call.invocation, true);
}

void FunctionSink::deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  Answers answers(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    FunctionCall one = call_of_(*batch[i]);
    if (const TargetRef target = bound(one.name)) {
      answers.put(i, call(target, one));
      continue;
    }
    environment_.functions->invoke(
        one.name,
        std::move(one.invocation),
        [&answers, i](Result<functions::Answer> answer) { answers.put(i, std::move(answer)); }
    );
  }
  const auto all = answers.wait();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    outcomes[i] = outcome_of(*all[i], *batch[i]);
  }
}

}  // namespace iotcore::rules
