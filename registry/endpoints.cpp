#include "registry/endpoints.h"

namespace iotcore::registry {

Result<api::DescribeEndpointResponse> describe_endpoint(
    const Endpoints& endpoints, const api::DescribeEndpointRequest& request
) {
  const std::string_view type =
      request.has_endpoint_type() ? std::string_view(request.endpoint_type()) : "iot:Data";
  api::DescribeEndpointResponse response;
  if (type == "iot:Data" || type == "iot:Data-ATS") {
    response.set_endpoint_address(endpoints.data);
  } else if (type == "iot:CredentialProvider") {
    response.set_endpoint_address(endpoints.credentials);
  } else if (type == "iot:Jobs") {
    response.set_endpoint_address(endpoints.jobs);
  } else {
    return fail(
        Errc::kInvalidRequest,
        "Endpoint type " + std::string(type) +
            " is none of iot:Data, iot:Data-ATS, iot:CredentialProvider and "
            "iot:Jobs"
    );
  }
  return response;
}

}  // namespace iotcore::registry
