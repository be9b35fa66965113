#pragma once

#include "broker/authorizer.h"

#include <string_view>

namespace iotcore::broker {

// Permissions of a connection whose messages carry more than the client has put into them.
class EnrichedPermissions : public Permissions {
 public:
  // User properties that go with every message of the connection, encoded as in a property block; as of the last answer of allows(). May be empty.
  virtual std::string_view message_properties() const = 0;
};

}  // namespace iotcore::broker
