#include "broker/mqtt/properties.h"
#include "rules/actions/file_writer.h"
#include "rules/actions/sqlite_writer.h"
#include "tests/unit/rules/engine_fixture.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <fstream>
#include <sstream>

namespace iotcore::rules {
namespace {

using actions::FileWriter;
using actions::SqliteDatabase;
using actions::SqliteWriter;
using broker::Qos;
namespace fs = std::filesystem;
using test::EngineFixture;
using test::next_payload;
using test::TempFolder;

Record make(std::vector<std::string> fields, std::string payload, std::uint64_t sequence = 0) {
  Record record;
  record.fields = std::move(fields);
  record.payload = std::move(payload);
  record.sequence = sequence;
  return record;
}

// The outcomes' reasons; empty ones are delivered.
std::vector<std::string> deliver(Sink& sink, const std::vector<Record>& records) {
  std::vector<const Record*> batch;
  for (const Record& record : records) {
    batch.push_back(&record);
  }
  std::vector<Outcome> outcomes(records.size());
  sink.deliver(batch, outcomes);
  std::vector<std::string> reasons;
  for (const Outcome& outcome : outcomes) {
    reasons.push_back(
        (outcome.kind == Outcome::Kind::kRetry       ? "retry: "
         : outcome.kind == Outcome::Kind::kPermanent ? "never: "
                                                     : "") +
        outcome.reason
    );
  }
  return reasons;
}

std::string query(const fs::path& path, const std::string& sql) {
  auto database = SqliteDatabase::open(path).value();
  actions::SqliteStatement* statement = database->prepare(sql).value();
  std::string out;
  while (statement->step().value()) {
    out += (out.empty() ? "" : ";") + std::string(statement->text(0));
  }
  return out;
}

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST_CASE("sqlite makes its table and widens it as members appear") {
  const TempFolder folder;
  const fs::path path = folder.path() / "deep/er/a.db";
  SqliteWriter sink(path, "box");
  CHECK(
      deliver(
          sink,
          {make({"table", "t"}, R"({"a": 1, "b": "x", "c": {"d": [1, 2]}, "e": null, "f": 1.5})"),
           make({"table", "t"}, R"({"a": 2, "g": true})"),
           make({"table", "T"}, R"({"A": 3})"),
           make({"table", "t"}, "[1]"),
           make({"table", "t"}, R"({"a": 4, "b\"; DROP TABLE t; --": "it's"})")}
      ) ==
      std::vector<std::string>{
          "", "", "", "never: the result is not an object, so it has no columns", ""}
  );
  CHECK(query(path, "SELECT count(*) FROM t") == "4");
  CHECK(query(path, "SELECT c FROM t WHERE a = 1") == R"({"d":[1,2]})");
  CHECK(query(path, "SELECT typeof(f) || typeof(e) FROM t WHERE a = 1") == "realnull");
  CHECK(query(path, "SELECT g FROM t WHERE a = 2") == "1");
  CHECK(query(path, "SELECT \"b\"\"; DROP TABLE t; --\" FROM t WHERE a = 4") == "it's");
  CHECK(query(path, "PRAGMA journal_mode") == "wal");
}

TEST_CASE("sqlite leaves tables alone that it has not made") {
  const TempFolder folder;
  const fs::path path = folder.path() / "a.db";
  REQUIRE(SqliteDatabase::open(path).value()->run("CREATE TABLE mine(a INTEGER NOT NULL)"));
  SqliteWriter sink(path, "box");
  const auto came = deliver(
      sink,
      {make({"table", "mine"}, R"({"a": 1})"),
       make({"table", "mine"}, R"({"a": 2, "b": 1})"),
       make({"table", "mine"}, R"({"a": null})")}
  );
  CHECK(came[0].empty());
  CHECK(came[1] == "never: table mine has no column b");
  CHECK(came[2].starts_with("never: NOT NULL"));
  CHECK(query(path, "SELECT count(*) FROM mine") == "1");
}

TEST_CASE("sqlite writes each durable record once, whoever asks again") {
  const TempFolder folder;
  const fs::path path = folder.path() / "a.db";
  std::vector<Record> records;
  for (std::uint64_t i = 10; i < 20; ++i) {
    records.push_back(make({"table", "t"}, fmt::format(R"({{"i": {}}})", i), i));
  }
  deliver(*std::make_unique<SqliteWriter>(path, "box"), records);
  records.push_back(make({"table", "t"}, R"({"i": 20})", 20));
  records.push_back(make({"table", "t"}, R"({"i": 9})", 9));
  SqliteWriter again(path, "box");
  deliver(again, records);
  CHECK(query(path, "SELECT count(*) || ' ' || count(DISTINCT i) FROM t") == "12 12");
  // Another outbox counts for itself.
  deliver(*std::make_unique<SqliteWriter>(path, "other"), records);
  CHECK(query(path, "SELECT count(*) FROM t") == "24");
  // And so does memory, which nothing is known of.
  deliver(again, {make({"table", "t"}, R"({"i": 1})"), make({"table", "t"}, R"({"i": 1})")});
  CHECK(query(path, "SELECT count(*) FROM t") == "26");
}

TEST_CASE("sqlite binds what a statement is given and keeps its kind") {
  const TempFolder folder;
  const fs::path path = folder.path() / "a.db";
  REQUIRE(SqliteDatabase::open(path).value()->run("CREATE TABLE s(a, b, c, d)"));
  SqliteWriter sink(path, "box");
  const std::string insert = "INSERT INTO s VALUES (?1, ?2, ?3, ?4)";
  CHECK(
      deliver(
          sink,
          {make({"statement", insert, "7", "1.5", "007", ""}, ""),
           make({"statement", insert, "x'); DROP TABLE s; --", "1e3", "-0", "true"}, ""),
           make({"statement", "INSERT INTO nowhere VALUES (1)"}, "")}
      ) == std::vector<std::string>{"", "", "never: no such table: nowhere"}
  );
  CHECK(
      query(path, "SELECT typeof(a) || typeof(b) || typeof(c) || typeof(d) FROM s") ==
      "integerrealtextnull;texttexttexttext"
  );
}

TEST_CASE("sqlite tries again while the database is locked, and writes to the file of the name") {
  const TempFolder folder;
  const fs::path path = folder.path() / "a.db";
  SqliteWriter sink(path, "box");
  deliver(sink, {make({"table", "t"}, R"({"i": 1})", 1)});
  {
    auto other = SqliteDatabase::open(path).value();
    REQUIRE(other->run("BEGIN IMMEDIATE"));
    const auto came = deliver(sink, {make({"table", "t"}, R"({"i": 2})", 2)});
    CHECK(came[0].starts_with("retry: "));
    CHECK_FALSE(sink.probe());
    REQUIRE(other->run("ROLLBACK"));
  }
  CHECK(sink.probe());
  CHECK(deliver(sink, {make({"table", "t"}, R"({"i": 2})", 2)})[0].empty());
  CHECK(query(path, "SELECT count(*) FROM t") == "2");
  fs::rename(path, folder.path() / "moved.db");
  fs::remove(folder.path() / "a.db-wal");
  fs::remove(folder.path() / "a.db-shm");
  CHECK(deliver(sink, {make({"table", "t"}, R"({"i": 3})", 3)})[0].empty());
  CHECK(query(path, "SELECT count(*) FROM t") == "1");
}

TEST_CASE("file writes lines, whole and in order") {
  const TempFolder folder;
  const fs::path path = folder.path() / "new/a.jsonl";
  {
    FileWriter sink(path);
    CHECK(
        deliver(
            sink,
            {make({"json", "0"}, R"({"a":1})"),
             make({"json", "0"}, "{\n  \"a\": 2.50\n}"),
             make({"json", "0"}, "[3]")}
        ) == std::vector<std::string>{"", "", ""}
    );
  }
  CHECK(read(path) == "{\"a\":1}\n{\"a\":2.5}\n[3]\n");
  std::ofstream(path, std::ios::app) << "{\"torn\":";
  FileWriter sink(path);
  deliver(sink, {make({"json", "0"}, "{}")});
  CHECK(read(path) == "{\"a\":1}\n{\"a\":2.5}\n[3]\n{}\n");
}

TEST_CASE("file writes csv by the columns that the file has") {
  const TempFolder folder;
  const fs::path path = folder.path() / "a.csv";
  deliver(*std::make_unique<FileWriter>(path), {make({"csv", "0"}, R"({"a":1,"b c":"x,\"y\""})")});
  FileWriter sink(path);
  CHECK(
      deliver(
          sink,
          {make({"csv", "0"}, R"({"b c":null,"a":{"d":[1]}})"),
           make({"csv", "0"}, R"({"a":2,"new":1})"),
           make({"csv", "0"}, R"({"a":3})"),
           make({"csv", "0"}, "7")}
      ) ==
      std::vector<std::string>{
          "",
          "never: the file has no column new",
          "",
          "never: the result is not an object, so it has no columns"}
  );
  CHECK(read(path) == "a,b c\n1,\"x,\"\"y\"\"\"\n\"{\"\"d\"\":[1]}\",\n3,\n");
}

TEST_CASE("file begins a new one when it has grown enough") {
  const TempFolder folder;
  const fs::path path = folder.path() / "a.bin";
  FileWriter sink(path);
  std::vector<Record> records;
  for (int i = 0; i < 10; ++i) {
    records.push_back(make({"raw", "1024"}, std::string(300, static_cast<char>('0' + i))));
  }
  CHECK(deliver(sink, records) == std::vector<std::string>(10));
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    files[entry.path().filename().string()] = read(entry.path());
  }
  REQUIRE(files.size() == 3);
  CHECK(files["a.bin"].size() == 600);
  CHECK(files["a.bin"].starts_with("8"));
  CHECK(files.begin()->first.starts_with("a-2"));
  CHECK(files.begin()->second.size() == 1200);
}

TEST_CASE("file says what is in the way, and goes on when it is gone") {
  const TempFolder folder;
  std::ofstream(folder.path() / "no-folder") << "x";
  const fs::path path = folder.path() / "no-folder/a";
  FileWriter sink(path);
  CHECK(deliver(sink, {make({"json", "0"}, "{}")})[0].starts_with("retry: cannot open"));
  CHECK_FALSE(sink.probe());
  fs::remove(folder.path() / "no-folder");
  CHECK(deliver(sink, {make({"json", "0"}, "{}")})[0].empty());
  CHECK(read(path) == "{}\n");
}

TEST_CASE("republish sets what its headers say") {
  EngineFixture fixture;
  fixture.create(
      "r",
      "SELECT * FROM 'in/+'",
      R"([{"republish": {"topic": "out/${topic(2)}", "qos": "${q}", "headers": {
        "payloadFormatIndicator": "UTF8_DATA", "contentType": "text/${kind}",
        "responseTopic": "re/${topic(2)}", "correlationData": "aGk=", "messageExpiry": "${20 + 3}",
        "userProperties": [{"key": "k-${kind}", "value": "${topic()}"}]}}}])"
  );
  auto& watcher = fixture.connected("w");
  fixture.subscribe(watcher, "out/#", Qos::kAtLeastOnce);
  auto& device = fixture.connected("d1");
  fixture.publish(device, "in/d1", R"({"q": 1, "kind": "x"})");
  const broker::mqtt::PacketView packet = watcher.receive();
  const auto& publish = std::get<broker::mqtt::PublishView>(packet);
  using broker::mqtt::Property;
  CHECK(publish.qos == Qos::kAtLeastOnce);
  CHECK(publish.properties.text(Property::kContentType) == "text/x");
  CHECK(publish.properties.text(Property::kResponseTopic) == "re/d1");
  CHECK(publish.properties.text(Property::kCorrelationData) == "hi");
  CHECK(publish.properties.number(Property::kPayloadFormatIndicator) == 1U);
  CHECK(publish.properties.number(Property::kMessageExpiryInterval) == 23U);
  std::vector<std::string> pairs;
  publish.properties.for_each_user_property([&](const broker::mqtt::UserPropertyView& pair) {
    pairs.push_back(std::string(pair.name) + "=" + std::string(pair.value));
  });
  CHECK(pairs == std::vector<std::string>{"k-x=in/d1"});
}

TEST_CASE("Rules that republish to each other end after eight rounds") {
  EngineFixture fixture;
  fixture.create("a", "SELECT * FROM 'ring/a'", R"([{"republish": {"topic": "ring/b"}}])");
  fixture.create("b", "SELECT * FROM 'ring/b'", R"([{"republish": {"topic": "ring/a"}}])");
  auto& watcher = fixture.connected("w");
  fixture.subscribe(watcher, "ring/#");
  fixture.publish(fixture.connected("d"), "ring/a", "{}");
  fixture.deliver();
  int rounds = 0;
  while (!next_payload(watcher).empty()) {
    ++rounds;
  }
  CHECK(rounds == 9);
}

TEST_CASE("republish to $aws topics is by two dollars, and jobs are left alone") {
  EngineFixture fixture;
  fixture.create(
      "r", "SELECT * FROM 'in'", R"([{"republish": {"topic": "$$aws/things/t/shadow/update"}}])"
  );

  struct Seen final : broker::MessageConsumer {
    void on_message(broker::PublishContext& context) override {
      topics.emplace_back(context.publish().topic);
    }

    std::vector<std::string> topics;
  } seen;

  fixture.broker->add_consumer("$aws/things/+/shadow/update", seen);
  fixture.publish(fixture.connected("d"), "in", "{}");
  CHECK(seen.topics == std::vector<std::string>{"$aws/things/t/shadow/update"});
  const Status jobs = fixture.engine->catalog().create(EngineFixture::rule(
      "j", "SELECT * FROM 'in'", R"([{"republish": {"topic": "$$aws/things/t/jobs/start-next"}}])"
  ));
  REQUIRE_FALSE(jobs);
  CHECK(jobs.error().message().find("jobs") != std::string::npos);
}

}  // namespace
}  // namespace iotcore::rules
