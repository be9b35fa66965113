// What PostgreSQL is given, without PostgreSQL.
#include "rules/actions/postgres_quick_rows.h"
#include "rules/actions/postgres_row.h"
#include "rules/actions/postgres_row_groups.h"
#include "rules/actions/postgres_series.h"

#include <catch2/catch.hpp>

#include <vector>

namespace iotcore::rules::actions {
namespace {

TEST_CASE("series: a table is a hypertable, or partitioned by day, and has a column for PostGIS") {
  const PostgresSeries series{"time", {}, "SRID=4326;POINT(11.5 48.5)"};
  CHECK(
      create_series("fleet", "CREATE TABLE fleet(time timestamptz)", series, {}) ==
      R"(CREATE TABLE fleet(time timestamptz) PARTITION BY RANGE ("time"); )"
      R"(COMMENT ON TABLE "fleet" IS 'iotcore: a partition for each day'; )"
      R"(CREATE TABLE IF NOT EXISTS "fleet_other" PARTITION OF "fleet" DEFAULT)"
  );
  CHECK(
      create_series("s.it's", "CREATE TABLE x(time timestamptz)", series, {"ts", "gis"}) ==
      R"(CREATE TABLE x(time timestamptz); SELECT "ts".create_hypertable('"s"."it''s"', 'time', )"
      R"(chunk_time_interval => INTERVAL '1 day', if_not_exists => TRUE); )"
      R"(ALTER TABLE "s"."it's" ADD COLUMN IF NOT EXISTS "position" "gis".geography(Point, 4326))"
  );
  // No room for a day behind the name.
  CHECK(create_series(std::string(55, 'x'), "CREATE", {"time", {}, ""}, {"", "gis"}) == "CREATE");
}

TEST_CASE("series: a day's partition is made when its first row comes, for times near now") {
  constexpr std::int64_t kDay = 86'400'000;
  constexpr std::int64_t kToday = 20'780;  // 2026-11-23
  constexpr std::int64_t kNow = kToday * kDay + 1;
  CHECK(days_for(kNow, kNow) == std::vector<std::int64_t>{kToday, kToday + 1});
  CHECK(days_for(kToday * kDay - 1, kNow) == std::vector<std::int64_t>{kToday - 1, kToday});
  CHECK(days_for(kNow - 32 * kDay, kNow).empty());
  CHECK(days_for(kNow + 2 * kDay, kNow).empty());
  CHECK(days_for(-1, kNow).empty());
  CHECK(
      add_partition("s.fleet", kToday) ==
      R"(SET LOCAL lock_timeout = '2s'; CREATE TABLE "s"."fleet_20261123" (LIKE "s"."fleet" INCLUDING DEFAULTS INCLUDING )"
      R"(CONSTRAINTS); ALTER TABLE "s"."fleet" ATTACH PARTITION "s"."fleet_20261123" )"
      R"(FOR VALUES FROM ('2026-11-23 00:00:00+00') TO ('2026-11-24 00:00:00+00'))"
  );
}

TEST_CASE("rows: what COPY is given reads back the same") {
  PostgresWrites writes;
  const std::vector<std::string> columns = {"a", "B\"", "c"};
  const auto shape = std::make_shared<PostgresShape>("s.t", columns);
  CHECK(shape->into == R"("s"."t"("a", "B""", "c"))");
  CHECK(shape->insert() == R"(INSERT INTO "s"."t"("a", "B""", "c") VALUES ($1, $2, $3))");
  const std::vector<std::vector<PostgresValue>> rows = {
      {"", "", ""},
      {std::nullopt, "", std::nullopt},
      {"\\N", "\\", "tab\tline\nreturn\r\\t\\n"},
      {"plain", "\xC3\xA9", "ends with \\"}};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    writes.begin();
    // What was begun and not ended leaves nothing.
    writes.append_value("dropped");
    writes.add_row(shape);
    writes.add_statement({"SELECT 1", {}});
    writes.append_value("half");
    writes.begin();
    writes.append_value("undone");
    writes.undo_row();
    for (const PostgresValue& value : rows[i]) {
      writes.append_value(value);
    }
    writes.add_row(shape);
    writes.end(i);
  }
  REQUIRE(writes.items().size() == rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const PostgresWrites::Item& item = writes.items()[i];
    REQUIRE(writes.are_appended(item));
    CHECK(writes.statement(writes.writes_of(item)[0]).values == rows[i]);
  }
  const auto& first = writes.writes_of(writes.items()[0])[0];
  const auto& last = writes.writes_of(writes.items().back())[0];
  CHECK(writes.text(first, last).substr(0, 9) == "\t\t\n\\N\t\t\\N");
  CHECK(writes.text(first, last).ends_with("ends with \\\\\n"));
}

Record record_of(std::string payload) {
  Record record;
  record.fields = {"table", "t", "", ""};
  record.payload = std::move(payload);
  record.delivery_id = "id";
  record.received_ms = 1'700'000'000'123;
  return record;
}

PostgresResultShape shape_for(const PostgresColumn& column) {
  PostgresResultShape shape;
  shape.table = quick_name(record_of(""));
  shape.members = {"v"};
  shape.columns = {column};
  shape.row = std::make_shared<PostgresShape>("t", shape.members);
  return shape;
}

TEST_CASE("rows: the short way gives what the long way gives, and is taken for what is usual") {
  const std::vector<PostgresColumn> columns = {
      {"float8", false, 'N'},
      {"int4", false, 'N'},
      {"numeric", false, 'N'},
      {"text", false, 'S'},
      {"bool", false, 'B'},
      {"timestamptz", false, 'D'},
      {"jsonb", false, 'U'},
      {"_text", false, 'A'}};
  const std::vector<std::string> values = {
      "1",
      "-1",
      "0",
      "-0",
      "0.5",
      "10.0",
      "1.50",
      "1e3",
      "1E-7",
      "0.00000001",
      "123456789012345",
      "1234567890123456789",
      "0.1234567890123456789",
      "99999999999999999999",
      "1700000000123",
      "null",
      "true",
      "false",
      R"("")",
      R"("text")",
      R"("tab\there")",
      R"("a\\b")",
      R"("\u00e9\ud83d\ude00")",
      R"("é")",
      R"({"a":1})",
      R"({"a": 1.50})",
      R"({"a":"x\ty"})",
      "[1,2]",
      "[ ]",
      R"(["x","y\"z"])",
      "{}"};
  std::size_t quick_ones = 0;
  for (const PostgresColumn& column : columns) {
    QuickRows quick;
    quick.learn(shape_for(column));
    for (const std::string& value : values) {
      const Record record = record_of(R"({"v":)" + value + "}");
      PostgresWrites writes;
      writes.begin();
      if (!quick.add(record, writes)) {
        continue;
      }
      ++quick_ones;
      writes.end(0);
      INFO(column.type << " " << value);
      const json::value parsed = parse_json(value).value();
      const std::vector<PostgresValue> row =
          writes.statement(writes.writes_of(writes.items()[0])[0]).values;
      REQUIRE(row.size() == 1);
      if (is_json_column(column) && row[0]) {
        // Digits that a double has no room for stay here.
        CHECK(parse_json(*row[0]).value() == parsed);
      } else {
        CHECK(row[0] == to_postgres(parsed, column));
      }
    }
  }
  CHECK(quick_ones > columns.size() * values.size() / 2);
}

TEST_CASE("rows: a text that PostgreSQL would end at its zero is noticed, of each record by itself"
) {
  PostgresWrites writes;
  const std::string zero("a\0b", 3);
  writes.begin();
  writes.append_value(zero);
  CHECK(writes.has_zero());
  writes.begin();
  writes.append_value("a");
  CHECK_FALSE(writes.has_zero());
  writes.add_statement({"SELECT $1, $2", {std::nullopt, zero}});
  CHECK(writes.has_zero());
}

TEST_CASE("rows: the short way is for results of the same members, whole ones too") {
  QuickRows quick;
  PostgresWrites writes;
  writes.begin();
  PostgresResultShape shape = shape_for({"int4", false, 'N'});
  shape.has_delivery_id = shape.has_received_at = true;
  quick.learn(shape);
  for (const char* other :
       {R"({})", R"({"w":1})", R"({"v":1,"w":2})", R"({"v":1,"v":2})", R"([1])", R"({"v":1)", ""}) {
    INFO(other);
    CHECK(!quick.add(record_of(other), writes));
  }
  Record elsewhere = record_of(R"({"v":1})");
  elsewhere.fields[1] = "u";
  CHECK(!quick.add(elsewhere, writes));
  REQUIRE(quick.add(record_of(R"({"v":1})"), writes));
  writes.end(0);
  CHECK(
      writes.text(writes.writes_of(writes.items()[0])[0]) == "1\tid\t2023-11-14 22:13:20.123+00\n"
  );
  quick.forget();
  CHECK(!quick.add(record_of(R"({"v":1})"), writes));

  shape.columns.clear();
  shape.has_delivery_id = shape.has_received_at = false;
  quick.learn(shape);
  REQUIRE(quick.add(record_of(R"({"v":{"a":"b"}})"), writes));
  writes.end(1);
  CHECK(writes.text(writes.writes_of(writes.items()[1])[0]) == "{\"v\":{\"a\":\"b\"}}\n");
  CHECK(!quick.add(record_of(R"({"v": 1.50})"), writes));  // jsonb would keep the zero
}

PostgresShape upserted(const std::vector<std::string>& columns) {
  PostgresShape shape("t", columns);
  shape.types = std::vector<std::string>(columns.size(), "integer");
  shape.conflict = " ON CONFLICT DO NOTHING";
  shape.key = {0};
  return shape;
}

TEST_CASE("rows: of those that overwrite one another the last goes out, in one statement") {
  const PostgresShape shape = upserted({"id", "v"});
  CHECK(
      shape.insert_all() ==
      R"(INSERT INTO "t"("id", "v") SELECT c1::integer, c2::integer FROM unnest($1::text[], $2::text[]) AS rows(c1, c2))"
      " ON CONFLICT DO NOTHING"
  );
  PostgresRowGroups rows;
  for (const char* row : {"1\ta\n", "2\tb\n", "1\tc\n", "\\N\td\n", "\\N\te\n"}) {
    rows.add(shape, row);
  }
  REQUIRE(rows.groups().size() == 1);
  const std::vector<PostgresValue> arrays = array_parameters(rows.groups()[0]);
  CHECK(arrays == std::vector<PostgresValue>{R"({"1","2",NULL,NULL})", R"({"c","b","d","e"})"});
}

TEST_CASE("rows: what an array is given reads back the same") {
  const PostgresShape shape = upserted({"id"});
  PostgresRowGroups rows;
  std::string row;
  append_copy_text(row, "a \"quote\", a \\ and {a,\tb\n}");
  row += '\n';
  rows.add(shape, row);
  rows.add(shape, "\n");
  CHECK(
      array_parameters(rows.groups()[0])[0] == "{\"a \\\"quote\\\", a \\\\ and {a,\tb\n}\",\"\"}"
  );
}

TEST_CASE("rows: of one key they stay in order, whatever their shape") {
  const PostgresShape narrow = upserted({"id", "a"});
  const PostgresShape wide = upserted({"id", "a", "b"});
  PostgresShape plain = upserted({"id", "a"});
  plain.key.clear();
  PostgresRowGroups rows;
  rows.add(narrow, "1\ta\n");
  rows.add(wide, "2\tb\tx\n");
  rows.add(narrow, "3\tc\n");   // beside the first
  rows.add(wide, "1\td\tx\n");  // behind it
  rows.add(narrow, "1\te\n");   // behind that
  rows.add(plain, "4\tf\n");    // nobody knows what it meets
  rows.add(wide, "5\tg\tx\n");
  rows.add(plain, "6\th\n");
  std::vector<std::string> made;
  for (const PostgresRowGroups::Group& group : rows.groups()) {
    made.emplace_back();
    for (const std::string_view row : group.rows) {
      made.back() += row[0];
    }
  }
  CHECK(made == std::vector<std::string>{"13", "21", "1", "4", "5", "6"});
}

TEST_CASE("rows: times as PostgreSQL reads them") {
  CHECK(postgres_time(0) == "1970-01-01 00:00:00.000+00");
  CHECK(postgres_time(-1) == "1969-12-31 23:59:59.999+00");
  CHECK(postgres_time(951'782'399'007) == "2000-02-28 23:59:59.007+00");
}

}  // namespace
}  // namespace iotcore::rules::actions
