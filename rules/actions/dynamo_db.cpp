#include "rules/actions/dynamo_db.h"

#include "base/crypto.h"
#include "rules/actions/aws_sinks.h"
#include "rules/actions/aws_tables.h"
#include "rules/actions/fields_action.h"
#include "rules/actions/postgres.h"
#include "rules/actions/postgres_client.h"
#include "rules/actions/transaction_sink.h"
#include "rules/tables/table_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace iotcore::rules::actions {
namespace {

constexpr std::string_view kNumber = "NUMBER";

Status check_type(std::string_view value) {
  return value == "STRING" || value == kNumber
             ? Status()
             : fail(Errc::kInvalidRequest, fmt::format("'{}' is neither STRING nor NUMBER", value));
}

Status check_operation(std::string_view value) {
  return value == "INSERT" || value == "UPDATE" || value == "DELETE"
             ? Status()
             : fail(
                   Errc::kInvalidRequest,
                   fmt::format("'{}' is none of INSERT, UPDATE and DELETE", value)
               );
}

// The longest that DynamoDB allows is 255; names have other letters here than there at their own risk.
Status check_table(std::string_view value) {
  constexpr std::size_t kBytesMax = 255;
  return !value.empty() && value.size() <= kBytesMax
             ? Status()
             : fail(Errc::kInvalidRequest, "a table's name has 1 to 255 bytes");
}

constexpr auto kFields = std::to_array<FieldSpec>({
    {.member = "tableName", .check = check_table},
    {.member = "hashKeyField", .kind = FieldKind::kText},
    {.member = "hashKeyValue"},
    {.member = "hashKeyType",
     .kind = FieldKind::kText,
     .presence = Presence::kOptional,
     .check = check_type,
     .absent = "STRING"},
    {.member = "rangeKeyField", .kind = FieldKind::kText, .presence = Presence::kOptional},
    {.member = "rangeKeyValue", .presence = Presence::kOptional},
    {.member = "rangeKeyType",
     .kind = FieldKind::kText,
     .presence = Presence::kOptional,
     .check = check_type,
     .absent = "STRING"},
    {.member = "payloadField", .presence = Presence::kOptional, .absent = "payload"},
    {.member = "operation",
     .presence = Presence::kOptional,
     .check = check_operation,
     .absent = "INSERT"},
});
static_assert(kFields.size() == kDynamoDbFieldCount);

Result<tables::ItemKey> key_of(const Action::Fields& fields) {
  tables::ItemKey key;
  key.hash = {fields[kHashField], {}, fields[kHashType] == kNumber};
  IOTCORE_ASSIGN(key.hash.value, tables::key_text(fields[kHashValue], key.hash.is_number));
  if (!fields[kRangeField].empty()) {
    tables::KeyPart range = {fields[kRangeField], {}, fields[kRangeType] == kNumber};
    IOTCORE_ASSIGN(range.value, tables::key_text(fields[kRangeValue], range.is_number));
    key.range = std::move(range);
  }
  return key;
}

Status check_key(const Action::Fields& fields) {
  if (fields[kRangeField].empty() && !fields[kRangeValue].empty()) {
    return fail(Errc::kInvalidRequest, "rangeKeyValue needs rangeKeyField");
  }
  IOTCORE_TRY(key_of(fields));
  return {};
}

constexpr ActionSpec kSpec = {
    .kind = DynamoDb::kName,
    .fields = kFields,
    .name = kTable,
    .check = check_key,
    .order_by = kHashValue};

// What is not JSON is kept in base64, as DynamoDB's JSON shows bytes.
Result<json::value> payload_of(const Record& record) {
  if (!record.is_json) {
    return json::value(json::string(to_base64(record.payload)));
  }
  return parse_json(record.payload);
}

json::value attribute(const tables::KeyPart& part) {
  if (part.is_number) {
    if (Result<json::value> number = parse_json(part.value)) {
      return *std::move(number);
    }
  }
  return json::value(json::string(part.value));
}

SqliteResult<void> write_item(SqliteDatabase& database, const Record& record, std::int64_t now_ms) {
  const Action::Fields& fields = record.fields;
  if (fields.size() != kDynamoDbFieldCount) {
    return refuse_record("not a record of this kind");
  }
  const Result<tables::ItemKey> key = key_of(fields);
  const Result<json::value> payload = payload_of(record);
  if (!key || !payload) {
    return refuse_record(!key ? key.error().message() : payload.error().message());
  }
  const tables::KeySchema wanted = {fields[kHashField], fields[kRangeField]};
  auto schema = tables::ensure_table(database, fields[kTable], wanted);
  if (!schema) {
    return tl::unexpected(std::move(schema).error());
  }
  if (*schema != wanted) {
    return refuse_record(fmt::format("the key of table {} is another one", fields[kTable]));
  }
  if (fields[kOperation] == "DELETE") {
    return tables::erase_item(database, fields[kTable], *key);
  }
  json::object item;
  item[key->hash.name] = attribute(key->hash);
  if (key->range) {
    item[key->range->name] = attribute(*key->range);
  }
  item[fields[kPayloadField]] = *payload;
  return fields[kOperation] == "UPDATE"
             ? tables::update_item(database, fields[kTable], *key, item, now_ms)
             : tables::put_item(database, fields[kTable], *key, item, now_ms);
}

Result<std::unique_ptr<Sink>> make_store_sink(
    const SinkEnvironment& environment,
    SqliteResult<void> (*write)(SqliteDatabase&, const Record&, const SinkEnvironment&)
) {
  return std::make_unique<TransactionSink>(
      environment.folder / tables::kFileName,
      tables::kSchema,
      [environment, write](SqliteDatabase& database, const Record& record) {
        return write(database, record, environment);
      }
  );
}

std::int64_t now_ms(const SinkEnvironment& environment) {
  return to_epoch_ms(clock_of(environment).wall());
}

Result<std::unique_ptr<Sink>> make_built_in(const SinkEnvironment& environment) {
  return make_store_sink(
      environment,
      [](SqliteDatabase& database, const Record& record, const SinkEnvironment& where) {
        return write_item(database, record, now_ms(where));
      }
  );
}

// PostgreSQL: a column for each part of the key, and one for the payload.
std::string create_table(const Action::Fields& fields) {
  const auto column = [&](std::size_t name, std::size_t type) {
    return fmt::format(
        "{} {} NOT NULL",
        postgres_quoted(fields[name]),
        fields[type] == "NUMBER" ? "numeric" : "text"
    );
  };
  const bool has_range = !fields[kRangeField].empty();
  return fmt::format(
      "CREATE TABLE IF NOT EXISTS {}({}, {}{} jsonb, PRIMARY KEY({}{}))",
      postgres_quoted_table(fields[kTable]),
      column(kHashField, kHashType),
      has_range ? column(kRangeField, kRangeType) + ", " : "",
      postgres_quoted(fields[kPayloadField]),
      postgres_quoted(fields[kHashField]),
      has_range ? ", " + postgres_quoted(fields[kRangeField]) : ""
  );
}

Result<PostgresForm> row_of_item(const Record& record) {
  const Action::Fields& fields = record.fields;
  if (fields.size() != kDynamoDbFieldCount) {
    return fail(Errc::kInvalidRequest, "not a record of this kind");
  }
  std::vector<std::string> key = {fields[kHashField]};
  std::vector<std::string> values = {fields[kHashValue]};
  if (!fields[kRangeField].empty()) {
    key.push_back(fields[kRangeField]);
    values.push_back(fields[kRangeValue]);
  }
  PostgresForm form;
  if (fields[kOperation] == "DELETE") {
    std::string statement = "DELETE FROM " + postgres_quoted_table(fields[kTable]);
    for (std::size_t i = 0; i < key.size(); ++i) {
      statement +=
          fmt::format(" {} {} = ${}", i == 0 ? "WHERE" : "AND", postgres_quoted(key[i]), i + 1);
    }
    form.fields = postgres_statement(std::move(statement), std::move(values));
    return form;
  }
  form.create = create_table(fields);
  std::vector<std::string> columns = key;
  columns.push_back(fields[kPayloadField]);
  values.push_back(record.payload);
  form.fields = postgres_row(fields[kTable], key, columns, std::move(values));
  return form;
}

Result<std::unique_ptr<Sink>> make_bound(
    const TargetRef& target, const SinkEnvironment& environment
) {
  if (target->kind == "aws") {
    return make_aws_table(target, environment);
  }
  return make_postgres_sink(DynamoDb::kName, target, environment, &row_of_item);
}

constexpr AwsSinks kSinks = {DynamoDb::kName, &field_of<kTable>, &make_built_in, &make_bound};

// dynamoDBv2

constexpr auto kV2Fields = std::to_array<FieldSpec>({
    {.member = "putItem", .kind = FieldKind::kObject},
    {.member = "putItem.tableName", .check = check_table},
});
static_assert(kV2Fields.size() == kPutItemHash);

// The value of the hash key.
std::string v2_order_key(const Action::Fields& fields, std::string_view payload) {
  if (fields[kPutItemHash].empty()) {
    return {};
  }
  const Result<json::value> item = parse_json(payload);
  const json::object* members = item ? item->if_object() : nullptr;
  const json::value* value =
      members == nullptr ? nullptr : find_member(*members, fields[kPutItemHash]);
  return value == nullptr ? std::string() : to_json(*value);
}

constexpr ActionSpec kV2Spec = {
    .kind = DynamoDbV2::kName,
    .fields = kV2Fields,
    .name = kPutItemTable,
    .needs_json = true,
    .order_key = &v2_order_key};

// As a target describes it; no key if none does.
tables::KeySchema described(const std::string& table, const SinkEnvironment& environment) {
  const TargetRef target = environment.targets == nullptr
                               ? nullptr
                               : environment.targets->bind(TableTarget::kName, table);
  if (target == nullptr) {
    return {};
  }
  const auto text = [&](std::string_view name) {
    const json::value* value = find_member(target->options, name);
    return value != nullptr && value->is_string() ? std::string(value->get_string())
                                                  : std::string();
  };
  return {text("hashKey"), text("rangeKey")};
}

Result<tables::ItemKey> key_in(
    const json::object& item, const tables::KeySchema& schema, const Record& record
) {
  tables::ItemKey key;
  if (schema.hash.empty()) {
    key.hash = {{}, record.delivery_id, false};
    return key;
  }
  IOTCORE_ASSIGN(key.hash, tables::key_part(schema.hash, item));
  if (!schema.range.empty()) {
    IOTCORE_ASSIGN(key.range, tables::key_part(schema.range, item));
  }
  return key;
}

SqliteResult<void> write_v2_item(
    SqliteDatabase& database, const Record& record, const SinkEnvironment& environment
) {
  if (record.fields.size() <= kPutItemTable) {
    return refuse_record("not a record of this kind");
  }
  const std::string& table = record.fields[kPutItemTable];
  const Result<json::value> item = parse_json(record.payload);
  if (!item || !item->is_object()) {
    return refuse_record("the result is not an object, so it has no attributes");
  }
  auto schema = tables::ensure_table(database, table, described(table, environment));
  if (!schema) {
    return tl::unexpected(std::move(schema).error());
  }
  const Result<tables::ItemKey> key = key_in(item->get_object(), *schema, record);
  if (!key) {
    return refuse_record(key.error().message());
  }
  return tables::put_item(database, table, *key, item->get_object(), now_ms(environment));
}

Result<std::unique_ptr<Sink>> make_v2_built_in(const SinkEnvironment& environment) {
  return make_store_sink(environment, &write_v2_item);
}

Result<PostgresForm> row_of_v2_item(const Record& record) {
  if (record.fields.size() <= kPutItemTable) {
    return fail(Errc::kInvalidRequest, "not a record of this kind");
  }
  PostgresForm form;
  form.fields = postgres_payload_row(record.fields[kPutItemTable], true);
  return form;
}

Result<std::unique_ptr<Sink>> make_v2_bound(
    const TargetRef& target, const SinkEnvironment& environment
) {
  if (target->kind == "aws") {
    return make_aws_table_v2(target, environment);
  }
  return make_postgres_sink(DynamoDbV2::kName, target, environment, &row_of_v2_item);
}

constexpr AwsSinks kV2Sinks = {
    DynamoDbV2::kName, &field_of<kPutItemTable>, &make_v2_built_in, &make_v2_bound};

}  // namespace

ParsedAction DynamoDb::parse(MemberReader& members, const SinkEnvironment& environment) {
  if (members.has("rangeKeyField") != members.has("rangeKeyValue")) {
    members.fail_at(members.pointer(), "rangeKeyField and rangeKeyValue need each other");
  }
  return parse_fields(members, environment, kSpec);
}

Result<std::unique_ptr<Sink>> DynamoDb::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_aws_sink(target, environment, kSinks, &make_sink);
}

ParsedAction DynamoDbV2::parse(MemberReader& members, const SinkEnvironment& environment) {
  std::unique_ptr<FieldsAction> action = read_fields(members, environment, kV2Spec);
  if (action != nullptr) {
    const json::object* item = members.optional_object("putItem");
    const json::value* table = item == nullptr ? nullptr : find_member(*item, "tableName");
    const bool is_text = table != nullptr && table->is_string();
    const std::string name(is_text ? std::string_view(table->get_string()) : std::string_view());
    action->add(described(name, environment).hash);
  }
  return action;
}

Result<std::unique_ptr<Sink>> DynamoDbV2::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_aws_sink(target, environment, kV2Sinks, &make_sink);
}

void TableTarget::check(MemberReader& options) {
  static_cast<void>(options.text("hashKey"));
  static_cast<void>(options.optional_text("rangeKey"));
  if (!options.has("match")) {
    options.fail_at(options.pointer(), "member match is missing: which tables it describes");
  }
}

}  // namespace iotcore::rules::actions
