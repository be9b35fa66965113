#include "rules/actions/aws_tables.h"

#include "base/crypto.h"
#include "rules/actions/aws_calls.h"
#include "rules/actions/dynamo_db.h"

#include <fmt/format.h>

namespace iotcore::rules::actions {
namespace {

constexpr AwsEndpoint kEndpoint = {.host = "dynamodb", .service = "dynamodb"};
constexpr std::string_view kVersion = "1.0";

net::HttpRequest request(std::string_view operation, const json::value& body) {
  return aws_json_request(fmt::format("DynamoDB_20120810.{}", operation), kVersion, body);
}

json::object key_attribute(const std::string& value, const std::string& type) {
  return {{type == "NUMBER" ? "N" : "S", value}};
}

Result<json::object> payload_attribute(const Record& record) {
  if (!record.is_json) {
    return json::object{{"B", to_base64(record.payload)}};
  }
  IOTCORE_ASSIGN(const json::value result, parse_json(record.payload));
  return dynamo_attribute(result);
}

Result<net::HttpRequest> request_of_item(const Record& record) {
  const Action::Fields& fields = record.fields;
  if (fields.size() != kDynamoDbFieldCount) {
    return fail(Errc::kInvalidRequest, "not a record of this kind");
  }
  json::object key;
  key[fields[kHashField]] = key_attribute(fields[kHashValue], fields[kHashType]);
  if (!fields[kRangeField].empty()) {
    key[fields[kRangeField]] = key_attribute(fields[kRangeValue], fields[kRangeType]);
  }
  json::object body = {{"TableName", fields[kTable]}};
  if (fields[kOperation] == "DELETE") {
    body["Key"] = std::move(key);
    return request("DeleteItem", body);
  }
  IOTCORE_ASSIGN(json::object payload, payload_attribute(record));
  if (fields[kOperation] == "UPDATE") {
    body["Key"] = std::move(key);
    body["UpdateExpression"] = "SET #payload = :payload";
    body["ExpressionAttributeNames"] = json::object{{"#payload", fields[kPayloadField]}};
    body["ExpressionAttributeValues"] = json::object{{":payload", std::move(payload)}};
    return request("UpdateItem", body);
  }
  key[fields[kPayloadField]] = std::move(payload);
  body["Item"] = std::move(key);
  return request("PutItem", body);
}

Result<net::HttpRequest> request_of_v2_item(const Record& record) {
  if (record.fields.size() <= kPutItemTable) {
    return fail(Errc::kInvalidRequest, "not a record of this kind");
  }
  const Result<json::value> item = parse_json(record.payload);
  if (!item || !item->is_object()) {
    return fail(Errc::kInvalidRequest, "the result is not an object, so it has no attributes");
  }
  json::object attributes;
  for (const auto& member : item->get_object()) {
    attributes[member.key()] = dynamo_attribute(member.value());
  }
  return request(
      "PutItem",
      json::object{{"TableName", record.fields[kPutItemTable]}, {"Item", std::move(attributes)}}
  );
}

constexpr AwsApi kItems = {.endpoint = kEndpoint, .request_of = &request_of_item};
constexpr AwsApi kV2Items = {.endpoint = kEndpoint, .request_of = &request_of_v2_item};

}  // namespace

json::object dynamo_attribute(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return {{"NULL", true}};
    case json::kind::bool_:
      return {{"BOOL", value.get_bool()}};
    case json::kind::string:
      return {{"S", value.get_string()}};
    case json::kind::array: {
      json::array list;
      for (const json::value& element : value.get_array()) {
        list.push_back(dynamo_attribute(element));
      }
      return {{"L", std::move(list)}};
    }
    case json::kind::object: {
      json::object map;
      for (const auto& member : value.get_object()) {
        map[member.key()] = dynamo_attribute(member.value());
      }
      return {{"M", std::move(map)}};
    }
    default:
      return {{"N", to_json(value)}};
  }
}

Result<std::unique_ptr<Sink>> make_aws_table(
    const TargetRef& target, const SinkEnvironment& environment
) {
  return make_aws_call_sink(DynamoDb::kName, kItems, target, environment);
}

Result<std::unique_ptr<Sink>> make_aws_table_v2(
    const TargetRef& target, const SinkEnvironment& environment
) {
  return make_aws_call_sink(DynamoDbV2::kName, kV2Items, target, environment);
}

}  // namespace iotcore::rules::actions
