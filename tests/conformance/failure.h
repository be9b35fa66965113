#pragma once

#include <stdexcept>

namespace iotcore::conformance {

// What ends a case: the server did something else than the case says, or the case is not well written.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace iotcore::conformance
