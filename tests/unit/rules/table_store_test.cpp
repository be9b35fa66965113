#include "rules/tables/table_store.h"

#include "rules/actions/append_file.h"
#include "rules/actions/transaction_sink.h"
#include "tests/unit/rules/engine_fixture.h"

#include <catch2/catch.hpp>

#include <fstream>

namespace iotcore::rules {
namespace {

using actions::SqliteDatabase;
using tables::ItemKey;
using tables::KeyPart;
using tables::KeySchema;
using tables::TableReader;

json::object object(std::string_view text) {
  return parse_json(text).value().get_object();
}

struct Store {
  test::TempFolder folder;
  std::filesystem::path file = folder.path() / tables::kFileName;
  std::unique_ptr<SqliteDatabase> database = SqliteDatabase::open(file).value();
  TableReader reader{file};

  Store() { REQUIRE(database->run(tables::kSchema)); }

  std::string get(const std::string& table, const ItemKey& key) {
    const auto found = reader.get(table, key);
    return !found ? "error: " + found.error().message() : found->value_or("none");
  }
};

TEST_CASE("table store: items are put, changed in part and erased by their key") {
  Store store;
  SqliteDatabase& database = *store.database;
  const KeySchema schema = {"id", "n"};
  REQUIRE(tables::ensure_table(database, "t", schema).value() == schema);
  CHECK(tables::ensure_table(database, "t", {"other", ""}).value() == schema);
  const ItemKey key = {{"id", "a", false}, KeyPart{"n", "7", true}};
  REQUIRE(tables::put_item(database, "t", key, object(R"({"id":"a","n":7,"x":1,"y":{"z":[]}})"), 1)
  );
  CHECK(store.get("t", key) == R"({"id":"a","n":7,"x":1,"y":{"z":[]}})");
  REQUIRE(tables::update_item(database, "t", key, object(R"({"x":2,"w":null})"), 2));
  CHECK(store.get("t", key) == R"({"id":"a","n":7,"x":2,"y":{"z":[]},"w":null})");
  REQUIRE(tables::put_item(database, "t", key, object(R"({"id":"a","n":7})"), 3));
  CHECK(store.get("t", key) == R"({"id":"a","n":7})");
  CHECK(store.get("t", {{"id", "a", false}, KeyPart{"n", "8", true}}) == "none");
  CHECK(store.get("t", {{"id", "a", false}, KeyPart{"n", "7", false}}) == "none");
  CHECK(store.get("nowhere", key) == "none");
  REQUIRE(tables::erase_item(database, "t", key));
  REQUIRE(tables::erase_item(database, "t", key));
  CHECK(store.get("t", key) == "none");
}

TEST_CASE("table store: another key than the table's is an error that names both") {
  Store store;
  REQUIRE(tables::ensure_table(*store.database, "t", {"id", "n"}));
  CHECK(store.get("t", {{"id", "a", false}, {}}) == "error: the key of table t is id, n, not id");
}

TEST_CASE("table store: a table without a key is searched for the newest item") {
  Store store;
  SqliteDatabase& database = *store.database;
  REQUIRE(tables::ensure_table(database, "t", {}));
  REQUIRE(tables::put_item(database, "t", {{"", "d1", false}, {}}, object(R"({"id":"a","v":1})"), 1)
  );
  REQUIRE(tables::put_item(database, "t", {{"", "d2", false}, {}}, object(R"({"id":"a","v":2})"), 2)
  );
  REQUIRE(tables::put_item(
      database, "t", {{"", "d3", false}, {}}, object(R"({"id":"a","v":1.0,"n":3})"), 3
  ));
  CHECK(store.get("t", {{"id", "a", false}, {}}) == R"({"id":"a","v":1.0,"n":3})");
  CHECK(store.get("t", {{"id", "a", false}, KeyPart{"v", "2", true}}) == R"({"id":"a","v":2})");
  CHECK(store.get("t", {{"i\"d", "a", false}, {}}) == "none");
}

TEST_CASE("table store: numbers in keys have one spelling, and are numbers") {
  CHECK(tables::key_text("1.0", true).value() == "1");
  CHECK(tables::key_text("1e3", true).value() == "1000");
  CHECK(tables::key_text("-0.5", true).value() == "-0.5");
  CHECK(tables::key_text("9223372036854775807", true).value() == "9223372036854775807");
  CHECK(tables::key_text("1.0", false).value() == "1.0");
  CHECK(tables::key_text("89490200001234567890", true).value() == "89490200001234567890");
  CHECK(tables::key_text("-0089490200001234567890", true).value() == "-89490200001234567890");
  CHECK_FALSE(tables::key_part("id", object(R"({"id": 89490200001234567890})")));
  for (const char* bad : {"", "x", "1 ", "nan", "1e999"}) {
    CHECK(!tables::key_text(bad, true));
  }
  CHECK(!tables::key_text("", false));
  CHECK(!tables::key_part("id", object(R"({"id":null})")));
  CHECK(!tables::key_part("id", object(R"({"id":[1]})")));
  CHECK(!tables::key_part("id", object("{}")));
  CHECK(tables::key_part("id", object(R"({"id":2.0})")).value() == KeyPart{"id", "2", true});
}

TEST_CASE("table store: an item above 400 KiB, or a key above 2 KiB, is refused by itself") {
  Store store;
  const auto put = [&](std::size_t key_bytes, std::size_t value_bytes) {
    json::object item;
    item["v"] = std::string(value_bytes, 'x');
    return tables::put_item(
        *store.database, "t", {{"id", std::string(key_bytes, 'k'), false}, {}}, item, 1
    );
  };
  CHECK(put(2047, (400U << 10) - 8));
  const auto large = put(1, (400U << 10) - 7);
  REQUIRE(!large);
  CHECK(!large.error().is_temporary());
  CHECK(!put(2048, 1));
}

TEST_CASE("a transaction sink keeps what it can, and nothing of a batch whose commit fails") {
  const test::TempFolder folder;
  bool disk_is_full = false;
  actions::TransactionSink sink(
      folder.path() / "a.db",
      "CREATE TABLE IF NOT EXISTS t(v)",
      [&](SqliteDatabase& database, const Record& record) -> actions::SqliteResult<void> {
        if (disk_is_full) {
          return tl::unexpected(actions::SqliteError{SQLITE_FULL, "full"});
        }
        if (record.payload == "bad") {
          return actions::refuse_record("bad");
        }
        return database.run("INSERT INTO t VALUES (1)");
      }
  );
  const auto deliver = [&](std::vector<std::string> payloads) {
    std::vector<Record> records(payloads.size());
    std::vector<const Record*> batch;
    for (std::size_t i = 0; i < payloads.size(); ++i) {
      records[i].payload = payloads[i];
      batch.push_back(&records[i]);
    }
    std::vector<Outcome> outcomes(batch.size());
    sink.deliver(batch, outcomes);
    std::string kinds;
    for (const Outcome& outcome : outcomes) {
      kinds += outcome.kind == Outcome::Kind::kDelivered ? 'd'
               : outcome.kind == Outcome::Kind::kRetry   ? 'r'
                                                         : 'p';
    }
    return kinds;
  };
  CHECK(deliver({"a", "bad", "b"}) == "dpd");
  disk_is_full = true;
  CHECK(deliver({"a", "b"}) == "rr");
  disk_is_full = false;
  CHECK(sink.probe());
  CHECK(deliver({"a"}) == "d");
  auto database = SqliteDatabase::open(folder.path() / "a.db").value();
  auto* count = database->prepare("SELECT count(*) FROM t").value();
  REQUIRE(count->step().value());
  CHECK(count->integer(0) == 3);
}

TEST_CASE("an append file drops the line that a crash has cut short, and follows its name") {
  const test::TempFolder folder;
  const auto path = folder.path() / "deep/a.jsonl";
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << "one\ntwo\nthr";
  actions::AppendFile file(path);
  CHECK(file.ensure_open(true).value());
  CHECK(!file.ensure_open(true).value());
  REQUIRE(file.append("three\n"));
  CHECK(file.head(100).value() == "one\ntwo\nthree\n");
  std::filesystem::rename(path, folder.path() / "away");
  CHECK(file.ensure_open(true).value());
  CHECK(file.size() == 0);
}

}  // namespace
}  // namespace iotcore::rules
