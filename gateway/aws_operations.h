#pragma once

#include "proto/options.pb.h"

#include <span>
#include <string_view>

namespace iotcore::gateway {

// An operation of AWS's, whether it is described here (proto/api) or not: who calls one that is not is told so, instead of that there is no such path.
struct AwsOperation {
  api::Plane plane;
  std::string_view name;
  std::string_view method;
  std::string_view path;
};

std::span<const AwsOperation> aws_operations();

}  // namespace iotcore::gateway
