#pragma once

#include "base/function.h"
#include "base/result.h"

#include <chrono>
#include <string>

namespace iotcore::functions {

// What a function is to do once.
struct Invocation {
  std::string payload;
  std::string function_arn;    // as the one who invokes names it
  std::string client_context;  // JSON; empty: none
  // How long the one who invokes waits, also for a process; 0: as long as it takes.
  std::chrono::milliseconds patience{0};
};

// What it has come to.
struct Answer {
  std::string
      payload;  // what the function returned, or its error: {"errorType": …, "errorMessage": …, …}
  bool is_error = false;  // thrown, ended, or out of time: what AWS calls FunctionError
};

// kNotFound, kThrottled: too many wait; kUnavailable: it does not start; kTimeout: the patience is over; kTooLarge.
using OnAnswer = Function<void(Result<Answer>)>;

// "errorType: errorMessage", for people.
std::string describe_error(const Answer& answer);

}  // namespace iotcore::functions
