#pragma once

#include "base/result.h"
#include "proto/api/endpoint.pb.h"

#include <string>

namespace iotcore::registry {

// Each is host, or host:port where the port is not the one that clients assume.
struct Endpoints {
  std::string data;
  std::string credentials;
  std::string jobs;
};

// Where clients find each service; kInvalidRequest for a type that is none of AWS's.
Result<api::DescribeEndpointResponse> describe_endpoint(
    const Endpoints& endpoints, const api::DescribeEndpointRequest& request
);

}  // namespace iotcore::registry
