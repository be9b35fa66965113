#pragma once

#include "base/json.h"
#include "base/result.h"

#include <boost/json/array.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace iotcore::rules::sql {

// The functions that ask others: aws_lambda, get_thing_shadow, get_dynamodb, get_secret,
// get_registry_data, machinelearning_predict. A call may block; an error ends the rule unless
// get_or_default stands around it.
class ExternalFunctions {
 public:
  virtual ~ExternalFunctions() = default;
  // Function names are lower case; arguments are as written, the answer is JSON text.
  virtual Result<std::string> call(std::string_view function, const json::array& arguments) = 0;
};

// Answers every call with an error that says so.
class NoExternalFunctions final : public ExternalFunctions {
 public:
  Result<std::string> call(std::string_view function, const json::array& arguments) override;
};

// Where rand() and newuuid() draw from.
class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;
};

// The operating system's: where speed is no matter.
class SystemRandom final : public Random {
 public:
  std::uint64_t next() override;
};

}  // namespace iotcore::rules::sql
