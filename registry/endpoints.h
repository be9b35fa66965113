#pragma once

#include "base/result.h"
#include "proto/api/endpoint.pb.h"
#include "registry/options.h"

namespace iotcore::registry {

// Where clients find each service; kInvalidRequest for a type that is none of AWS's.
Result<api::DescribeEndpointResponse> describe_endpoint(
    const Options& options, const api::DescribeEndpointRequest& request
);

}  // namespace iotcore::registry
