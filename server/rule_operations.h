#pragma once

#include "gateway/operations.h"

namespace iotcore::rules {
class Engine;
}

namespace iotcore::server {

class Secrets;

// What operators ask of the rules engine beside AWS's operations: proto/api/rule_operations.proto. All of it outlives the registry's use.
void register_rule_operations(
    gateway::OperationRegistry& operations, rules::Engine& engine, Secrets& secrets
);

}  // namespace iotcore::server
