#pragma once

#include "base/executor.h"
#include "gateway/operations.h"

#include <atomic>
#include <cstdint>
#include <string>

namespace iotcore::broker {
class Broker;
}

namespace iotcore::registry {
class CustomAuthorizers;
class HttpAuthorizer;
class Registry;
}  // namespace iotcore::registry

namespace iotcore::rules {
class Engine;
}

namespace iotcore::shadow {
class Service;
}

namespace iotcore::server {

// What DescribeEndpoint answers. The port is known only once the listeners are open.
struct EndpointName {
  std::string host = "localhost";
  std::atomic<std::uint16_t> port = 0;  // 0: the ones that clients assume

  std::string address() const {
    const std::uint16_t number = port;
    return number == 0 ? host : host + ":" + std::to_string(number);
  }

  std::string origin() const { return "https://" + address(); }
};

struct OperationOwners {
  broker::Broker& broker;
  registry::Registry& registry;
  registry::HttpAuthorizer& http_authorizer;
  registry::CustomAuthorizers& custom_authorizers;
  rules::Engine& rules;
  shadow::Service& shadows;
  const EndpointName& endpoint;
  Executor& pool;
};

// One line for each operation that this server answers.
void register_operations(gateway::OperationRegistry& operations, const OperationOwners& owners);

}  // namespace iotcore::server
