#include "server/registry_data.h"

#include "base/check.h"
#include "gateway/operation_table.h"
#include "gateway/transcode.h"
#include "proto/api/thing_groups.pb.h"
#include "proto/api/things.pb.h"
#include "registry/group_members.h"
#include "registry/registry.h"
#include "registry/things.h"

namespace iotcore::server {
namespace {

std::string to_text(
    const gateway::OperationTable& operations,
    std::string_view name,
    const google::protobuf::Message& response
) {
  const gateway::Operation* operation = operations.find(api::IOT, name);
  IOTCORE_CHECK(operation != nullptr);
  return gateway::encode(*operation, response).body;
}

}  // namespace

Result<std::string> registry_data(
    registry::Registry& registry,
    const gateway::OperationTable& operations,
    std::string_view operation,
    std::string_view thing
) {
  if (operation == "DescribeThing") {
    api::DescribeThingRequest request;
    request.set_thing_name(std::string(thing));
    IOTCORE_ASSIGN(const auto response, registry.things().describe(request));
    return to_text(operations, operation, response);
  }
  if (operation == "ListThingGroupsForThing") {
    api::ListThingGroupsForThingRequest request;
    request.set_thing_name(std::string(thing));
    IOTCORE_ASSIGN(const auto response, registry.group_members().list_groups(request));
    return to_text(operations, operation, response);
  }
  return fail(
      Errc::kInvalidRequest,
      "get_registry_data takes 'DescribeThing' or 'ListThingGroupsForThing' first"
  );
}

}  // namespace iotcore::server
