#pragma once

#include "gateway/call_control.h"
#include "gateway/operations.h"
#include "registry/operators.h"

namespace iotcore::server {

// What callers of the API may do: operators by their policies; anybody on a development face everything; devices are decided on by the handlers.
class ApiAccess final : public gateway::AccessControl {
 public:
  explicit ApiAccess(registry::Operators& operators) : operators_(operators) {}

  bool is_unrestricted(const gateway::CallerIdentity& caller) const override {
    return caller.signer == nullptr || caller.signer->administrator;
  }

  Status allows(
      const gateway::CallerIdentity& caller,
      std::string_view action,
      std::span<const std::string> resources
  ) override {
    return operators_.allows(*caller.signer, caller.peer.source_ip, action, resources);
  }

 private:
  registry::Operators& operators_;
};

}  // namespace iotcore::server
