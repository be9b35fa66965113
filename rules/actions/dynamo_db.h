#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// dynamoDB(tableName*, hashKeyField*, hashKeyValue*, hashKeyType, rangeKeyField, rangeKeyValue, rangeKeyType, payloadField, operation): the result as one
// attribute of an item under that key. Built in: a table of tables/table_store.h.
struct DynamoDb {
  static constexpr std::string_view kName = "dynamoDB";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.batch_size = 500, .concurrency_max = 1};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

// dynamoDBv2(putItem*{tableName*}): each member of the result an attribute of an item, whose key is among them.
struct DynamoDbV2 {
  static constexpr std::string_view kName = "dynamoDBv2";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.batch_size = 500, .concurrency_max = 1};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

// The fields of their records.
enum DynamoDbField : std::size_t {
  kTable,
  kHashField,
  kHashValue,
  kHashType,
  kRangeField,
  kRangeValue,
  kRangeType,
  kPayloadField,
  kOperation,
  kDynamoDbFieldCount
};

enum DynamoDbV2Field : std::size_t {
  kPutItem,
  kPutItemTable,
  kPutItemHash,  // the member that is the table's key, where a target says so
  kDynamoDbV2FieldCount
};

// The target that describes a table of the built-in store: table(match*, hashKey*, rangeKey).
struct TableTarget {
  static constexpr std::string_view kName = "table";
  static void check(MemberReader& options);
};

}  // namespace iotcore::rules::actions
