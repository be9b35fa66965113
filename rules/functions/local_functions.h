#pragma once

#include "functions/functions.h"
#include "rules/targets.h"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace iotcore::rules {

// Reads the options of CREATE TARGET name AS function(…):
//
//   runtime, handler   'python' or 'nodejs': run by the runtime client that comes with the server; handler as 'app.handler'
//   command            or any program that speaks the Lambda Runtime API, as a list of words
//   dir                its folder; relative to the data folder
//   timeout            seconds, 1 to 900 (3)
//   memory             MiB, 64 to 10240 (256)
//   concurrency        processes at once, 1 to 1000 (4)
//   env                further variables of its environment
//   network            whether it reaches more than itself (FALSE)
//   version            what it calls itself ($LATEST); another one makes new processes
functions::Definition read_function(MemberReader& options);

// For the list of target kinds.
struct FunctionTarget {
  static constexpr std::string_view kName = "function";

  static void check(MemberReader& options) { read_function(options); }
};

// The local functions as targets define them. Any thread.
class LocalFunctions {
 public:
  // Both outlive it. A function's name is its target's.
  LocalFunctions(functions::Functions& functions, const Targets& targets)
      : functions_(functions), targets_(targets) {}

  // Whether a target of that name is a function.
  bool has(std::string_view name) const;

  // As functions::Functions does it, after what has changed among the targets.
  void invoke(std::string_view name, functions::Invocation invocation, functions::OnAnswer done);
  Result<functions::Answer> call(std::string_view name, functions::Invocation invocation);

 private:
  void follow_targets();

  functions::Functions& functions_;
  const Targets& targets_;
  std::atomic<std::uint64_t> followed_ = 0;  // the version of the targets that the functions are of
  std::mutex mutex_;                         // one follows at a time
};

}  // namespace iotcore::rules
