#pragma once

#include "gateway/operation_table.h"

#include <google/protobuf/message.h>

#include <memory>

namespace iotcore::gateway {

// A message of the plan's type with every member set to something that its bounds allow.
std::unique_ptr<google::protobuf::Message> sample_message(const MessagePlan& plan);

const OperationTable& api_table();

}  // namespace iotcore::gateway
