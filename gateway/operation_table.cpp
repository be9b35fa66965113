#include "gateway/operation_table.h"

#include "gateway/aws_operations.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <set>

namespace iotcore::gateway {
namespace {

using Place = MemberPlan::Place;

constexpr std::array kPlanes = {api::IOT, api::IOT_DATA, api::IOT_JOBS_DATA};

std::size_t index_of(api::Plane plane) {
  return static_cast<std::size_t>(plane);
}

// "/a/b" is a and b; the slash at the front belongs to no segment.
std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::size_t end = std::min(path.find('/'), path.size());
    out.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return out;
}

bool is_label(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

bool is_greedy(std::string_view segment) {
  return is_label(segment) && segment[segment.size() - 2] == '+';
}

// What a label of a path stands for in ARNs, where the description says nothing else.
constexpr std::array<std::pair<std::string_view, std::string_view>, 28> kResourceOfLabel = {{
    {"authorizerName", "authorizer/"},
    {"billingGroupName", "billinggroup/"},
    {"caCertificateId", "cacert/"},
    {"certificateId", "cert/"},
    {"certificateProviderName", "certificateprovider/"},
    {"clientId", "client/"},
    {"commandId", "command/"},
    {"dimensionName", "dimension/"},
    {"name", "dimension/"},
    {"domainConfigurationName", "domainconfiguration/"},
    {"indexName", "index/"},
    {"jobId", "job/"},
    {"jobTemplateId", "jobtemplate/"},
    {"metricName", "custommetric/"},
    {"actionName", "mitigationaction/"},
    {"otaUpdateId", "otaupdate/"},
    {"packageName", "package/"},
    {"policyName", "policy/"},
    {"roleAlias", "rolealias/"},
    {"ruleName", "rule/"},
    {"scheduledAuditName", "scheduledaudit/"},
    {"securityProfileName", "securityprofile/"},
    {"streamId", "stream/"},
    {"templateName", "provisioningtemplate/"},
    {"thingGroupName", "thinggroup/"},
    {"thingName", "thing/"},
    {"thingTypeName", "thingtype/"},
    {"topic", "topic/"},
}};

tl::unexpected<Error> bad_operation(const Operation& operation, std::string_view what) {
  return fail(
      Errc::kInternal,
      fmt::format(
          "operation {} ({} {}): {}", operation.name, operation.method, operation.path, what
      )
  );
}

tl::unexpected<Error> unknown_operation() {
  return fail(Errc::kUnknownOperation, "No operation has this method and path.");
}

}  // namespace

struct OperationTable::Node {
  std::map<std::string, std::unique_ptr<Node>, std::less<>> fixed;
  std::unique_ptr<Node> label;
  std::map<std::string, const Operation*, std::less<>> by_method;
  std::map<std::string, const Operation*, std::less<>> greedy_by_method;

  struct Search {
    std::string_view method;
    const Operation* found = nullptr;
    std::vector<std::string_view> labels;
    bool path_known = false;
  };

  // `rest` is what is left of the path, from a slash on, or empty.
  bool match(Search& search, std::string_view rest) const;
  bool take(const std::map<std::string, const Operation*, std::less<>>& operations, Search& search)
      const;
};

bool OperationTable::Node::take(
    const std::map<std::string, const Operation*, std::less<>>& operations, Search& search
) const {
  search.path_known = search.path_known || !operations.empty();
  const auto it = operations.find(search.method);
  if (it != operations.end()) {
    search.found = it->second;
  }
  return search.found != nullptr;
}

bool OperationTable::Node::match(Search& search, std::string_view rest) const {
  if ((rest.empty() || rest == "/") && take(by_method, search)) {
    return true;
  }
  if (rest.size() < 2) {
    return false;
  }
  const std::string_view after_slash = rest.substr(1);
  const std::string_view segment = after_slash.substr(0, after_slash.find('/'));
  const std::string_view next = after_slash.substr(segment.size());
  if (const auto it = fixed.find(segment); it != fixed.end() && it->second->match(search, next)) {
    return true;
  }
  if (label != nullptr && !segment.empty()) {
    search.labels.push_back(segment);
    if (label->match(search, next)) {
      return true;
    }
    search.labels.pop_back();
  }
  search.labels.push_back(after_slash);
  if (take(greedy_by_method, search)) {
    return true;
  }
  search.labels.pop_back();
  return false;
}

bool Operation::models(std::string_view error) const {
  return std::find(errors.begin(), errors.end(), error) != errors.end();
}

bool plane_has_signing_name(api::Plane plane, std::string_view name) {
  const auto& names = api::Plane_descriptor()
                          ->FindValueByNumber(plane)
                          ->options()
                          .GetExtension(api::signing)
                          .names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

OperationTable::OperationTable() {
  for (auto& root : roots_) {
    root = std::make_unique<Node>();
  }
}

OperationTable::~OperationTable() = default;

Result<std::unique_ptr<OperationTable>> OperationTable::build(
    std::span<const google::protobuf::ServiceDescriptor* const> services
) {
  std::unique_ptr<OperationTable> table(new OperationTable());
  for (const auto* service : services) {
    IOTCORE_TRY(table->add(*service));
  }
  return table;
}

Status OperationTable::add(const google::protobuf::ServiceDescriptor& service) {
  const api::ServiceRule& service_rule = service.options().GetExtension(api::service);
  for (int i = 0; i < service.method_count(); ++i) {
    const auto* method = service.method(i);
    const api::OperationRule& rule = method->options().GetExtension(api::operation);
    auto operation = std::make_unique<Operation>();
    operation->name = method->name();
    operation->group = service.name();
    operation->plane = service_rule.plane();
    const std::string& http = rule.http();
    const std::size_t space = http.find(' ');
    if (space == std::string::npos || http.compare(space, 2, " /") != 0) {
      return bad_operation(*operation, "its http option is not 'METHOD /path'");
    }
    operation->method = http.substr(0, space);
    operation->path = http.substr(space + 1);
    operation->errors.assign(service_rule.errors().begin(), service_rule.errors().end());
    operation->errors.insert(operation->errors.end(), rule.errors().begin(), rule.errors().end());
    std::sort(operation->errors.begin(), operation->errors.end());
    operation->response = &plans_.plan(method->output_type());

    // The plan is this operation's own: by_request_ below refuses a request type that two
    // operations share.
    MessagePlan& request = plans_.plan(method->input_type());
    for (const std::string_view segment : segments_of(operation->path)) {
      if (!is_label(segment)) {
        continue;
      }
      const std::string label(segment.substr(1, segment.size() - (is_greedy(segment) ? 3 : 2)));
      const auto member = std::find_if(
          request.members.begin(),
          request.members.end(),
          [&](const MemberPlan& candidate) { return candidate.wire_name == label; }
      );
      if (member == request.members.end()) {
        return bad_operation(*operation, "no member for the label " + label);
      }
      member->place = Place::kPath;
      operation->labels.push_back(label);
    }
    operation->request = &request;
    if (!by_request_.try_emplace(method->input_type(), operation.get()).second) {
      return bad_operation(*operation, "its request type is another operation's too");
    }
    if (request.has(Place::kPayload) && request.has(Place::kBody)) {
      return bad_operation(*operation, "a payload leaves no room for body members");
    }
    IOTCORE_TRY(add_resources(*operation, rule));
    IOTCORE_TRY(add_route(*operation));
    operations_.push_back(std::move(operation));
  }
  return {};
}

Status OperationTable::add_resources(Operation& operation, const api::OperationRule& rule) {
  const char* service = operation.plane == api::IOT_JOBS_DATA ? "iotjobsdata:" : "iot:";
  operation.action = rule.action().empty() ? service + operation.name : rule.action();
  operation.unmodelled = rule.unmodelled();
  const auto member_named = [&operation](std::string_view name) -> const MemberPlan* {
    for (const MemberPlan& member : operation.request->members) {
      if (member.name == name || member.wire_name == name) {
        return &member;
      }
    }
    return nullptr;
  };
  for (const std::string& pattern : rule.resources()) {
    const std::size_t brace = std::min(pattern.find('{'), pattern.size());
    ResourcePattern resource{pattern.substr(0, brace), nullptr};
    if (brace < pattern.size()) {
      resource.member = member_named(pattern.substr(brace + 1, pattern.size() - brace - 2));
      if (resource.member == nullptr) {
        return bad_operation(operation, "no member for its resource " + pattern);
      }
    }
    operation.resources.push_back(std::move(resource));
  }
  if (!rule.resources().empty()) {
    return {};
  }
  for (const std::string& label : operation.labels) {
    for (const auto& [name, prefix] : kResourceOfLabel) {
      if (name == label) {
        operation.resources.push_back({std::string(prefix), member_named(label)});
      }
    }
  }
  return {};
}

Status OperationTable::add_others() {
  for (const AwsOperation& known : aws_operations()) {
    if (find(known.plane, known.name) != nullptr) {
      continue;
    }
    auto operation = std::make_unique<Operation>();
    operation->name = known.name;
    operation->plane = known.plane;
    operation->method = known.method;
    operation->path = known.path;
    IOTCORE_TRY(add_route(*operation));
    others_.push_back(std::move(operation));
  }
  return {};
}

Status OperationTable::add_route(const Operation& operation) {
  Node* node = roots_[index_of(operation.plane)].get();
  const std::vector<std::string_view> segments = segments_of(operation.path);
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const std::string_view segment = segments[i];
    if (is_greedy(segment)) {
      if (i + 1 != segments.size()) {
        return bad_operation(operation, "a greedy label is the last");
      }
      if (!node->greedy_by_method.try_emplace(operation.method, &operation).second) {
        return bad_operation(operation, "another operation has this route");
      }
      return {};
    }
    std::unique_ptr<Node>& next =
        is_label(segment) ? node->label : node->fixed[std::string(segment)];
    if (next == nullptr) {
      next = std::make_unique<Node>();
    }
    node = next.get();
  }
  const auto [it, added] = node->by_method.try_emplace(operation.method, &operation);
  if (!added) {
    return bad_operation(operation, "the route is also that of " + it->second->name);
  }
  return {};
}

Result<RouteMatchView> OperationTable::route(
    std::string_view method, std::string_view raw_path, const RouteScope& scope
) const {
  if (!raw_path.starts_with('/')) {
    return unknown_operation();
  }
  const bool names_a_plane = std::any_of(kPlanes.begin(), kPlanes.end(), [&](api::Plane plane) {
    return plane_has_signing_name(plane, scope.signing_service);
  });
  bool other_method = false;
  for (const api::Plane plane : kPlanes) {
    if ((names_a_plane && !plane_has_signing_name(plane, scope.signing_service)) ||
        (scope.device && plane == api::IOT)) {
      continue;
    }
    Node::Search search{.method = method, .found = nullptr, .labels = {}};
    if (roots_[index_of(plane)]->match(search, raw_path)) {
      return RouteMatchView{search.found, std::move(search.labels)};
    }
    other_method = other_method || (search.path_known && plane != api::IOT);
  }
  if (other_method) {
    return fail(
        Errc::kMethodNotAllowed, fmt::format("Method {} is not allowed for this path.", method)
    );
  }
  return unknown_operation();
}

const Operation* OperationTable::find(api::Plane plane, std::string_view name) const {
  const auto it = std::find_if(operations_.begin(), operations_.end(), [&](const auto& operation) {
    return operation->plane == plane && operation->name == name;
  });
  return it == operations_.end() ? nullptr : it->get();
}

const Operation* OperationTable::find_by_request(const google::protobuf::Descriptor* request
) const {
  const auto it = by_request_.find(request);
  return it == by_request_.end() ? nullptr : it->second;
}

}  // namespace iotcore::gateway
