#pragma once

#include "base/result.h"
#include "gateway/message_plan.h"
#include "proto/options.pb.h"

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace google::protobuf {
class Descriptor;
class ServiceDescriptor;
}  // namespace google::protobuf

namespace iotcore::gateway {

// What an operation is about, as a part of ARNs: fixed text, then a member of the request.
struct ResourcePattern {
  std::string prefix;                  // "thing/"; empty before a member that holds an ARN
  const MemberPlan* member = nullptr;  // may be null: the text is all
};

// One rpc of the API; or an operation of AWS's that is not described, of which only the route is known.
struct Operation {
  std::string name;   // "CreateThing"
  std::string group;  // the proto service that holds it
  api::Plane plane = api::IOT;
  std::string method;
  std::string path;                 // the template
  std::vector<std::string> labels;  // in the order of the template
  std::vector<std::string> errors;  // modelled; without "Exception"
  std::string action;               // as policies name it: "iot:CreateThing"
  std::vector<ResourcePattern> resources;
  bool unmodelled = false;               // ours, not AWS's
  const MessagePlan* request = nullptr;  // null: not described
  const MessagePlan* response = nullptr;

  bool models(std::string_view error) const;
};

// Which planes a caller means.
struct RouteScope {
  std::string_view
      signing_service;  // of the signature's credential scope; one that names no plane says nothing
  bool device = false;  // came with a client certificate: data planes only
};

// An operation and its labels as they stand in the path, still encoded. Points into the path given
// to route().
struct RouteMatchView {
  const Operation* operation = nullptr;
  std::vector<std::string_view> labels;
};

// All operations and their routes. Immutable once built; any thread.
class OperationTable {
 public:
  // Every service of the API that this program is linked with, and the routes of what AWS has besides.
  static Result<std::unique_ptr<OperationTable>> of_api();
  // Refuses services whose operations cannot be told apart or have options that make no sense.
  static Result<std::unique_ptr<OperationTable>> build(
      std::span<const google::protobuf::ServiceDescriptor* const> services
  );
  ~OperationTable();

  // By method and raw path. Fixed text is compared before decoding and goes before labels; a
  // trailing slash does not count, except in a greedy label. kUnknownOperation; kMethodNotAllowed
  // where a data plane has the path but not the method.
  Result<RouteMatchView> route(
      std::string_view method, std::string_view raw_path, const RouteScope& scope
  ) const;

  const std::vector<std::unique_ptr<Operation>>& operations() const { return operations_; }

  const Operation* find(api::Plane plane, std::string_view name) const;
  const Operation* find_by_request(const google::protobuf::Descriptor* request) const;

 private:
  struct Node;

  OperationTable();
  Status add(const google::protobuf::ServiceDescriptor& service);
  Status add_resources(Operation& operation, const api::OperationRule& rule);
  // Every operation of AWS's that is not described.
  Status add_others();
  Status add_route(const Operation& operation);

  MessagePlans plans_;
  std::vector<std::unique_ptr<Operation>> operations_;
  std::vector<std::unique_ptr<Operation>> others_;
  std::map<const google::protobuf::Descriptor*, const Operation*> by_request_;
  std::array<std::unique_ptr<Node>, 3> roots_;  // by plane
};

// The plane of a signing name, or nothing.
bool plane_has_signing_name(api::Plane plane, std::string_view name);

}  // namespace iotcore::gateway
