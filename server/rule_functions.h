#pragma once

#include "rules/sql/environment.h"

namespace iotcore::shadow {
class Service;
}

namespace iotcore::server {

// What rules may ask of the rest of the server: get_thing_shadow(thing [, shadow], role). The role is for AWS alone. Any thread.
class RuleFunctions final : public rules::sql::ExternalFunctions {
 public:
  explicit RuleFunctions(const shadow::Service& shadows) : shadows_(shadows) {}

  Result<std::string> call(std::string_view function, const json::array& arguments) override;

 private:
  const shadow::Service& shadows_;
};

}  // namespace iotcore::server
