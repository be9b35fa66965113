#include "rules/outbox.h"

#include "rules/spare_records.h"

#include <catch2/catch.hpp>

namespace iotcore::rules {
namespace {

TEST_CASE("A row of the outbox is written as protobuf would") {
  Record record;
  std::string bytes;
  append_row(bytes, record);
  CHECK(bytes == to_row(record).SerializeAsString());
  record.rule = "rule";
  record.action = Record::kErrorAction;
  record.delivery_id = std::string(200, 'd');
  record.fields = {"table", "", std::string("a\0b", 3)};
  record.payload = std::string(100'000, 'p');
  record.is_json = false;
  record.hops = 3;
  record.received_ms = 1'700'000'000'123;
  record.age_max = std::chrono::hours(24);
  record.attempts_max = 4'000'000'000;
  record.message_id = "m";
  record.actions_mask = 0x8000'0001;
  for (const std::int32_t action : {Record::kErrorAction, 0, 1, 70}) {
    record.action = action;
    bytes.clear();
    append_row(bytes, record);
    CHECK(bytes == to_row(record).SerializeAsString());
  }
  record.received_ms = -1;  // a clock before 1970
  bytes.clear();
  append_row(bytes, record);
  CHECK(bytes == to_row(record).SerializeAsString());
}

TEST_CASE("A spare record is like a new one") {
  SpareRecords spare;
  RecordSource source(spare);
  auto record = source.make();
  record->sequence = 7;
  record->rule = "r";
  record->fields = {"a"};
  record->payload = "p";
  record->message_id = "m";
  record->strikes = 2;
  record->is_json = false;
  spare.give(std::move(record));
  spare.give(std::make_unique<Record>());
  const std::string fresh = to_row(Record()).SerializeAsString();
  for (int i = 0; i < 3; ++i) {
    record = source.make();
    CHECK(to_row(*record).SerializeAsString() == fresh);
    CHECK(record->sequence == 0);
    CHECK(record->strikes == 0);
    CHECK(record->next == nullptr);
  }
}

}  // namespace
}  // namespace iotcore::rules
