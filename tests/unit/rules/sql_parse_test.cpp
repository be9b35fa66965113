#include "rules/sql/functions.h"
#include "rules/sql/program.h"

#include <catch2/catch.hpp>

#include <string>

namespace iotcore::rules::sql {
namespace {

std::string error_of(
    std::string_view sql, Version version = Version::k2016_03_23, const CompileOptions& options = {}
) {
  const auto program = compile(sql, version, options);
  if (program) {
    return "compiled";
  }
  CHECK(program.error().code() == Errc::kSqlParse);
  return program.error().message();
}

std::string repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) {
    out += text;
  }
  return out;
}

TEST_CASE("A parse error says where, with the line and a caret") {
  CHECK(
      error_of("SELECT a,\n  b + FROM 'x'") ==
      "line 2, column 7: unexpected FROM\n"
      "    b + FROM 'x'\n"
      "        ^"
  );
  CHECK(
      error_of("SELECT 'ü', a b FROM 'x'") ==
      "line 1, column 15: unexpected b\n"
      "  SELECT 'ü', a b FROM 'x'\n"
      "                ^"
  );
  CHECK(error_of("").starts_with("line 1, column 1: nothing here"));
  CHECK(error_of("SELECT * FROM 'a' WHERE a >")
            .starts_with("line 1, column 28: the text ends too early"));
}

TEST_CASE("A parse error names what was probably meant") {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"SELCT * FROM 'a'", "did you mean SELECT?"},
      {"SELECT * FORM 'a'", "did you mean FROM?"},
      {"SELECT * FROM 'a' WEHRE x = 1", "did you mean WHERE?"},
      {"SELECT CASE a WEN 1 THEN 2 END AS x FROM 'a'", "did you mean WHEN?"},
      {"SELECT flor(x) AS y FROM 'a'", "did you mean floor()?"},
      {"SELECT timestmap() AS y FROM 'a'", "did you mean timestamp()?"},
      {"SELECT regexp_match(a, 'b') AS y FROM 'a'", "did you mean regexp_matches()?"},
      {"SET @limit = 5 SELECT @limt AS y FROM 'a'", "did you mean @limit?"},
      {"SELECT cast(a AS Strng) AS y FROM 'a'", "did you mean String?"},
      {"SELECT * FROM 'a' WHERE x BETWEEN 1 AND 2", "write a >= x AND a <= y"},
      {"SELECT * FROM 'a' WHERE x LIKE 'y%'", "startswith()"},
      {"SELECT * FROM 'a' WHERE x IS NULL", "isNull()"},
      {"SELECT * FROM 'a' WHERE x == 1", "one ="},
      {"SELECT * FROM 'a' WHERE x && y", "write AND"},
      {"SELECT * FROM 'a';", "no ; at its end"},
      {"SELECT * FROM 'a' -- note", "rule file"},
      {"SELECT 1abc FROM 'a'", "get(*, 'name')"},
      {"SELECT * FROM 'a/#/b'", "# can only be the last level"},
      {"SELECT * FROM 'a/b+'", "+ and # stand alone"},
  };
  for (const auto& [sql, advice] : cases) {
    CAPTURE(sql);
    CHECK_THAT(error_of(sql), Catch::Matchers::Contains(std::string(advice)));
  }
}

TEST_CASE("What is not UTF-8 is refused at its first bad byte") {
  const auto program = compile_source("SELECT 'ü\xFF' AS x FROM 'a'", Version::k2016_03_23);
  REQUIRE_FALSE(program.has_value());
  CHECK(program.error().offset == 10);
  CHECK_FALSE(compile_source("SELECT 'a\xC3", Version::k2016_03_23).has_value());
}

TEST_CASE("Nesting and size are bounded") {
  CHECK(
      error_of("SELECT " + repeated("(", 60) + "1" + repeated(")", 60) + " AS x FROM 'a'") ==
      "compiled"
  );
  CHECK_THAT(
      error_of("SELECT " + repeated("(", 65) + "1" + repeated(")", 65) + " AS x FROM 'a'"),
      Catch::Matchers::Contains("deeper than 64")
  );
  CHECK_THAT(
      error_of("SELECT " + repeated("(", 100000) + " AS x FROM 'a'"),
      Catch::Matchers::Contains("deeper than 64")
  );
  CHECK_THAT(
      error_of("SELECT " + repeated("NOT ", 100000) + "x FROM 'a'"),
      Catch::Matchers::Contains("deeper than 64")
  );
  CHECK_THAT(
      error_of("SELECT " + repeated("abs(", 65) + "1" + repeated(")", 65) + " AS x FROM 'a'"),
      Catch::Matchers::Contains("deeper than 64")
  );
  // Chains do not nest.
  CHECK(error_of("SELECT * FROM 'a' WHERE x = 0" + repeated(" OR x = 1", 300)) == "compiled");
  CHECK(error_of("SELECT 1" + repeated(" + x", 500) + " AS s FROM 'a'") == "compiled");
  CHECK_THAT(
      error_of("SELECT 1" + repeated(" + x", 600) + " AS s FROM 'a'"),
      Catch::Matchers::Contains("more than 1024 parts")
  );
}

TEST_CASE("Strict mode refuses our extensions, the other one notes them") {
  CompileOptions strict;
  strict.strict = true;
  for (const std::string_view sql :
       {"SELECT * FROM 'a' WHERE x != 1",
        "SELECT x[0] AS y FROM 'a'",
        "SELECT CASE WHEN x THEN 1 END AS y FROM 'a'",
        "SELECT 1 + 2 FROM 'a'"}) {
    CAPTURE(sql);
    CHECK_THAT(
        error_of(sql, Version::k2016_03_23, strict), Catch::Matchers::Contains("strict mode")
    );
    const auto program = compile(sql, Version::k2016_03_23);
    REQUIRE(program.has_value());
    CHECK(program->notes().size() == 1);
  }
}

TEST_CASE("A program knows its filter, the fields it reads and whether it may block") {
  const auto program = compile(
      "SELECT a.b AS x, (SELECT VALUE v FROM list WHERE v > limit) AS y FROM 'p/+/t' WHERE get(c, "
      "0) = d.e.f",
      Version::k2016_03_23
  );
  REQUIRE(program.has_value());
  CHECK(program->topic_filter() == "p/+/t");
  CHECK(program->payload_paths() == std::vector<std::string>{"c", "d.e.f", "a.b", "list"});
  CHECK_FALSE(program->calls_external());
  CHECK(compile("SELECT aws_lambda('f', *) AS x FROM 'a'", Version::k2016_03_23)->calls_external());
  CHECK_FALSE(compile("SELECT *", Version::k2016_03_23)->topic_filter().has_value());
}

TEST_CASE("What a variable may not be is refused") {
  CHECK_THAT(
      error_of("SET @m = 'enrichArray' SELECT transform(@m, o, a) AS x FROM 'a'"),
      Catch::Matchers::Contains("mode cannot be a variable")
  );
  CHECK_THAT(
      error_of("SET @r = 'arn' SELECT get_thing_shadow('t', @r) AS x FROM 'a'"),
      Catch::Matchers::Contains("role cannot be a variable")
  );
  CHECK_THAT(
      error_of("SELECT get_registry_data(x, 't', 'r') AS x FROM 'a'"),
      Catch::Matchers::Contains("first argument")
  );
  CHECK_THAT(
      error_of("SELECT get_or_default(a, aws_lambda('f', a)) AS x FROM 'a'"),
      Catch::Matchers::Contains("cannot call external")
  );
}

TEST_CASE("Every function is listed with its name, signature and purpose") {
  for (const Function& function : functions()) {
    CAPTURE(function.name);
    CHECK(find_function(function.name) == &function);
    CHECK(function.body != nullptr);
    CHECK_FALSE(function.signature.empty());
    CHECK_FALSE(function.purpose.empty());
    CHECK(function.arguments_min <= function.arguments_max);
  }
}

TEST_CASE("A rule that can never fire is noted") {
  const auto notes = [](std::string_view sql) {
    const auto program = compile(sql, Version::k2016_03_23);
    REQUIRE(program);
    return program->notes().empty() ? std::string() : program->notes().front().message;
  };
  const std::pair<std::string_view, std::string_view> never[] = {
      {"1 = 2", "never true"},
      {"temp > 80 AND FALSE", "never true"},
      {"FALSE OR upper('a') = 'a'", "never true"},
      {"temp", ""},
      {"FALSE OR temp > 80", ""},
      {"topic(1) = 'b'", "FROM says 'a'"},
      {"temp > 1 AND 'b' = topic(3)", "FROM says 'c'"},
      {"topic(4) = 'x'", "no such level"},
      {"topic(0) = 'x'", "no such level"},
      {"topic(2) = 7", "is a String"},
      {"topic(2) = 'x' AND topic(1) = 'a'", ""},
      {"a.b = 1 AND x > 0 AND a.b = 2", "a.b cannot be two things"},
      {"a.b = 1 AND a.c = 2", ""},
      {"a = 'x' AND a = 'y'", "a cannot be two things"},
      {"a = 1 AND a = '1'", "a cannot be two things"},
      {"a = 1 OR a = 2", ""},
  };
  for (const auto& [where, expected] : never) {
    CAPTURE(where);
    const std::string note = notes("SELECT * FROM 'a/+/c' WHERE " + std::string(where));
    CHECK(note.find(expected) != std::string::npos);
    CHECK(note.empty() == expected.empty());
  }
  CHECK(notes("SELECT * FROM 'a/#' WHERE topic(9) = 'x'").empty());
  CHECK(notes("SELECT * FROM '$aws/rules/r/x'").find("no message comes") == 0);
  CHECK(notes("SELECT * FROM '$share/g/x'").find("no message comes") == 0);
}

TEST_CASE("Words are keywords only where they can be") {
  CHECK(
      error_of("SELECT a.from, a.end.case AS x, value, value.x AS y FROM 'a' WHERE value > 1") ==
      "compiled"
  );
  CHECK(error_of("SELECT VALUE value FROM 'a'") == "compiled");
  CHECK(error_of("SELECT value * 2 AS x FROM 'a'") == "compiled");
  CHECK(error_of("SELECT VALUE *.a FROM 'a'") == "compiled");
  CHECK(error_of("SELECT a AS value FROM 'a'") == "compiled");
  CHECK(error_of("SELECT do, on FROM 'a' WHERE do = on") == "compiled");
}

}  // namespace
}  // namespace iotcore::rules::sql
