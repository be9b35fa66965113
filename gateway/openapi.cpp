#include "gateway/openapi.h"

#include "base/json.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <utility>

namespace iotcore::gateway {
namespace {

using google::protobuf::FieldDescriptor;
using Place = MemberPlan::Place;

json::string text(std::string_view view) {
  return json::string(view.data(), view.size());
}

void add_bounds(json::object& schema, const Bounds* bounds) {
  if (bounds == nullptr) {
    return;
  }
  const api::Bounds& row = bounds->row();
  if (row.has_length_min()) {
    schema["minLength"] = row.length_min();
  }
  if (row.has_length_max()) {
    schema["maxLength"] = row.length_max();
  }
  if (!row.pattern().empty()) {
    // A pattern of OpenAPI may match anywhere in the value, ours matches the whole.
    schema["pattern"] = text("^(" + row.pattern() + ")$");
  }
  if (row.has_min()) {
    schema["minimum"] = row.min();
  }
  if (row.has_max()) {
    schema["maximum"] = row.max();
  }
  if (row.values_size() > 0) {
    json::array values;
    for (const std::string& value : row.values()) {
      values.push_back(text(value));
    }
    schema["enum"] = std::move(values);
  }
}

class Document {
 public:
  void add(const Operation& operation);
  json::object finish(std::string_view version) &&;

 private:
  json::object operation_object(const Operation& operation);
  json::object member_schema(const MemberPlan& member);
  json::object value_schema(const MemberPlan& member, const FieldDescriptor& field);
  // Of a message's body members, as a reference to the schemas of the document.
  json::object reference(const MessagePlan& plan);
  json::object json_content(const MessagePlan& plan);

  json::object paths_;
  json::object schemas_;
};

json::object Document::value_schema(const MemberPlan& member, const FieldDescriptor& field) {
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    return reference(*member.nested);
  }
  json::object schema;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      schema["type"] = "boolean";
      break;
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      schema["type"] = !member.timestamp               ? "integer"
                       : member.place == Place::kQuery ? "string"
                                                       : "number";
      schema["format"] = member.timestamp
                             ? (member.place == Place::kQuery ? "date-time" : "epoch-seconds")
                         : field.cpp_type() == FieldDescriptor::CPPTYPE_INT32 ? "int32"
                                                                              : "int64";
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      schema["type"] = "number";
      break;
    default:
      if (member.json && member.place == Place::kBody) {
        return schema;  // any JSON
      }
      schema["type"] = "string";
      if (field.type() == FieldDescriptor::TYPE_BYTES || member.json) {
        schema["format"] = "byte";
      }
  }
  add_bounds(schema, member.bounds);
  return schema;
}

json::object Document::member_schema(const MemberPlan& member) {
  json::object schema;
  if (member.field->is_map()) {
    schema["type"] = "object";
    schema["additionalProperties"] =
        value_schema(member, *member.field->message_type()->map_value());
    if (member.key_bounds != nullptr) {
      json::object keys;  // OpenAPI 3.0 has no word for it
      add_bounds(keys, member.key_bounds);
      schema["x-keys"] = std::move(keys);
    }
    return schema;
  }
  if (member.field->is_repeated()) {
    schema["type"] = "array";
    schema["items"] = value_schema(member, *member.field);
    if (member.items_max > 0) {
      schema["maxItems"] = member.items_max;
    }
    return schema;
  }
  return value_schema(member, *member.field);
}

json::object Document::reference(const MessagePlan& plan) {
  // "ListThingsResponse.Thing" for a nested type; the package says nothing to a reader, unless it
  // tells two apart.
  std::string name = plan.descriptor->full_name();
  static constexpr std::string_view kPackage = "iotcore.api.";
  if (name.starts_with(kPackage)) {
    name.erase(0, kPackage.size());
  }
  if (!schemas_.contains(text(name))) {
    schemas_[text(name)] =
        json::object();  // before its members are looked at: types may contain themselves
    json::object properties;
    json::array required;
    for (const MemberPlan& member : plan.members) {
      if (member.place != Place::kBody) {
        continue;
      }
      properties[text(member.name)] = member_schema(member);
      if (member.required) {
        required.push_back(text(member.name));
      }
    }
    json::object schema = {{"type", "object"}, {"properties", std::move(properties)}};
    if (!required.empty()) {
      schema["required"] = std::move(required);
    }
    schemas_[text(name)] = std::move(schema);
  }
  return {{"$ref", text("#/components/schemas/" + name)}};
}

json::object Document::json_content(const MessagePlan& plan) {
  const MemberPlan* payload = plan.find(Place::kPayload);
  if (payload != nullptr && payload->nested == nullptr) {
    return {{"application/octet-stream", {{"schema", {{"type", "string"}, {"format", "binary"}}}}}};
  }
  return {
      {"application/json", {{"schema", reference(payload != nullptr ? *payload->nested : plan)}}}};
}

json::object Document::operation_object(const Operation& operation) {
  json::array parameters;
  for (const MemberPlan& member : operation.request->members) {
    const char* in = member.place == Place::kPath     ? "path"
                     : member.place == Place::kQuery  ? "query"
                     : member.place == Place::kHeader ? "header"
                                                      : nullptr;
    if (in != nullptr) {
      parameters.push_back(json::object{
          {"name", text(member.wire_name)},
          {"in", in},
          {"required", member.required || member.place == Place::kPath},
          {"schema", member_schema(member)}});
    }
  }
  json::object out = {
      {"operationId", text(operation.name)},
      {"tags", json::array{text(operation.group)}},
      {"parameters", std::move(parameters)}};
  const MemberPlan* payload = operation.request->find(Place::kPayload);
  if (payload != nullptr || operation.request->has(Place::kBody)) {
    const auto& members = operation.request->members;
    const bool required = std::any_of(members.begin(), members.end(), [](const MemberPlan& member) {
      return member.required && (member.place == Place::kBody || member.place == Place::kPayload);
    });
    out["requestBody"] =
        json::object{{"required", required}, {"content", json_content(*operation.request)}};
  }
  out["responses"] = json::object{
      {"200", {{"description", "Success"}, {"content", json_content(*operation.response)}}},
      {"default",
       {{"description", text(fmt::format("Errors: {}", fmt::join(operation.errors, ", ")))},
        {"content",
         {{"application/json", {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}}}}}};
  return out;
}

void Document::add(const Operation& operation) {
  std::string path = operation.path;
  std::erase(path, '+');
  std::string method = operation.method;
  std::transform(method.begin(), method.end(), method.begin(), [](char c) {
    return static_cast<char>(c - 'A' + 'a');
  });
  // The same route in another plane: OpenAPI tells them apart by a fragment only.
  if (const json::value* item = paths_.if_contains(text(path));
      item != nullptr && item->as_object().contains(text(method))) {
    path += '#' + api::Plane_Name(operation.plane);
  }
  json::value& item = paths_[text(path)];
  if (item.is_null()) {
    item.emplace_object();
  }
  item.as_object()[text(method)] = operation_object(operation);
}

json::object Document::finish(std::string_view version) && {
  schemas_["Error"] = {
      {"type", "object"},
      {"properties", {{"message", {{"type", "string"}}}, {"traceId", {{"type", "string"}}}}}};
  return {
      {"openapi", "3.0.3"},
      {"info",
       {{"title", "iotcore"},
        {"version", text(version)},
        {"description", "AWS IoT Core's REST API, as this server answers it."}}},
      {"paths", std::move(paths_)},
      {"components",
       {{"schemas", std::move(schemas_)},
        {"securitySchemes",
         {{"sigv4",
           {{"type", "apiKey"},
            {"name", "Authorization"},
            {"in", "header"},
            {"description", "AWS Signature Version 4"}}}}}}},
      {"security", json::array{json::object{{"sigv4", json::array()}}}}};
}

}  // namespace

std::string openapi_document(const OperationTable& table, std::string_view version) {
  Document document;
  for (const auto& operation : table.operations()) {
    document.add(*operation);
  }
  return to_json(std::move(document).finish(version));
}

}  // namespace iotcore::gateway
