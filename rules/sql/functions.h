#pragma once

#include "rules/sql/evaluator.h"
#include "rules/sql/value.h"

#include <re2/re2.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace iotcore::rules::sql {

// One call: the arguments have been computed and counted.
struct Call {
  Evaluator& evaluator;
  std::span<const Value> arguments;
  const re2::RE2* expression =
      nullptr;  // the second argument, if it is constant and a regular expression

  const Value& operator[](std::size_t i) const { return arguments[i]; }

  std::size_t size() const { return arguments.size(); }

  const Values& values() const { return evaluator.values(); }
};

using FunctionBody = Value (*)(const Call& call);

enum class FunctionKind : std::uint8_t {
  kPure,      // the same result for the same arguments: computed at once if they are constant
  kMessage,   // asks the message
  kRandom,    // another result at each call
  kExternal,  // asks ExternalFunctions
  kLazy,      // its arguments are evaluated by the evaluator as needed
};

struct Function {
  std::string_view name;  // lower case
  FunctionKind kind;
  bool since_2016;
  std::uint8_t arguments_min;
  std::uint8_t arguments_max;
  FunctionBody body;
  std::string_view signature;
  std::string_view purpose;
};

inline constexpr std::uint8_t kAnyNumber = 255;

// With our limits of memory and without talking to the log; ask ok().
std::unique_ptr<re2::RE2> compile_expression(std::string_view pattern);

// Every function of the dialect, by name.
std::span<const Function> functions();
const Function* find_function(std::string_view name);
// The function nearest in spelling, or empty.
std::string_view nearest_function(std::string_view name);

}  // namespace iotcore::rules::sql
