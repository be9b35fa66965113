#include "tests/unit/rules/sql_support.h"

#include <catch2/catch.hpp>

#include <string>

namespace iotcore::rules::sql {
namespace {

TEST_CASE("SELECT * passes the payload on as it is, unless its numbers must change") {
  auto program = compile("SELECT * FROM 'a/b'", Version::k2016_03_23);
  REQUIRE(program.has_value());
  const auto run = [&](std::string_view bytes) {
    const MessageView message;
    ParsedPayload payload(bytes);
    NoExternalFunctions external;
    CountingRandom random;
    return Evaluation(*program, message, payload, external, random).run().value().value();
  };
  const std::string_view spaced = "{ \"a\": 1.50, \"b\": \"\\u00fc\" }";
  CHECK(run(spaced).is_original());
  CHECK(run(spaced).view().data() == spaced.data());
  CHECK(run(spaced).is_json());
  CHECK_FALSE(run("{\"a\":10.0}").is_original());
  CHECK(run("{\"a\":10.0}").view() == "{\"a\":10}");
  CHECK(run("{\"a\":1,\"a\":2}").view() == "{\"a\":2}");
  CHECK(run("plain text").is_original());
  CHECK_FALSE(run("plain text").is_json());
  CHECK(run("").view().empty());
}

TEST_CASE("Numbers print exactly") {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"SELECT VALUE n FROM 'a'", "12345678901234567890123"},
      {"SELECT VALUE n + 1 FROM 'a'", "12345678901234567890124"},
      {"SELECT VALUE 0.1 + 0.2 FROM 'a'", "0.3"},
      {"SELECT VALUE 1 / 3.0 FROM 'a'", "0"},
      {"SELECT VALUE 1 / 3.5 FROM 'a'", "0.2857142857142857142857142857142857"},
      {"SELECT VALUE 7 / 2 FROM 'a'", "3"},
      {"SELECT VALUE 1E-7 * 3 FROM 'a'", "3E-7"},
      {"SELECT VALUE 9223372036854775807 + 1 FROM 'a'", "9223372036854775808"},
      {"SELECT VALUE 9223372036854775807 * 9223372036854775807 FROM 'a'",
       "8.50705917302346158473969077842325E+37"},
      {"SELECT VALUE (-9223372036854775808) - 1 FROM 'a'", "-9223372036854775809"},
      {"SELECT VALUE sqrt(2) FROM 'a'", "1.4142135623730951"},
      {"SELECT VALUE power(2, 10) FROM 'a'", "1024"},
      {"SELECT VALUE d FROM 'a'", "47.615694"},
      {"SELECT VALUE d * 1 FROM 'a'", "47.615694"},
  };
  for (const auto& [sql, expected] : cases) {
    CAPTURE(sql);
    CHECK(evaluated(sql, "{\"n\":12345678901234567890123,\"d\":47.615694}") == expected);
  }
  CHECK(evaluated("SELECT VALUE 10 / 2.5 FROM 'a'", "{}", Version::k2015_10_08) == "4.0");
  CHECK(evaluated("SELECT VALUE 10 / 5 FROM 'a'", "{}", Version::k2015_10_08) == "2");
  CHECK(evaluated("SELECT VALUE floor(2.5) FROM 'a'", "{}", Version::k2015_10_08) == "2");
}

TEST_CASE("Options change what AWS leaves open") {
  CompileOptions exact;
  exact.exact_int_division = true;
  CHECK(evaluated("SELECT VALUE (75 - 32) * 5 / 9 FROM 'a'", "{}") == "23");
  CHECK(
      evaluated("SELECT VALUE (75 - 32) * 5 / 8 FROM 'a'", "{}", Version::k2016_03_23, exact) ==
      "26.875"
  );
  CompileOptions undefined;
  undefined.strict_undefined = true;
  CHECK(evaluated("SELECT true OR x AS r FROM 'a'", "{}") == "{\"r\":true}");
  CHECK(evaluated("SELECT true OR x AS r FROM 'a'", "{}", Version::k2016_03_23, undefined) == "{}");
  CHECK(
      evaluated("SELECT true OR false AS r FROM 'a'", "{}", Version::k2016_03_23, undefined) ==
      "{\"r\":true}"
  );
  CHECK(
      evaluated(
          "SELECT true AND true AS r, true AND false AS s FROM 'a'",
          "{}",
          Version::k2016_03_23,
          undefined
      ) == "{\"r\":true,\"s\":false}"
  );
}

TEST_CASE("Aliases with dots merge, later ones win, and order is that of the items") {
  CHECK(
      evaluated("SELECT a AS x.b, b AS y, c AS x.c FROM 'a'", R"({"a":1,"b":2,"c":3})") ==
      R"({"x":{"b":1,"c":3},"y":2})"
  );
  CHECK(evaluated("SELECT a AS x, b AS x.y FROM 'a'", R"({"a":1,"b":2})") == R"({"x":{"y":2}})");
  CHECK(evaluated("SELECT b AS x.y, a AS x FROM 'a'", R"({"a":1,"b":2})") == R"({"x":1})");
  CHECK(evaluated("SELECT a AS x, q AS x.y FROM 'a'", R"({"a":1})") == R"({"x":1})");
  CHECK(
      evaluated("SELECT *, 5 AS b FROM 'a'", R"({"a":1,"b":2,"c":3})") == R"({"a":1,"c":3,"b":5})"
  );
  CHECK(evaluated("SELECT *, q AS b FROM 'a'", R"({"a":1,"b":2})") == R"({"a":1,"b":2})");
  CHECK(evaluated("SELECT a, 1 + 1, b FROM 'a'", R"({"a":1,"b":2})") == R"({"a":1,"_2":2,"b":2})");
}

TEST_CASE("Payloads that are not objects") {
  CHECK(evaluated("SELECT *, 1 AS x FROM 'a'", "") == R"({"x":1})");
  CHECK(evaluated("SELECT *, 1 AS x FROM 'a'", "hi") == R"({"payload":"aGk=","x":1})");
  CHECK(evaluated("SELECT *, 1 AS x FROM 'a'", "[1]") == R"({"payload":[1],"x":1})");
  CHECK(evaluated("SELECT VALUE get(*, 1) FROM 'a'", "[1,2]") == "2");
  CHECK(evaluated("SELECT * AS p FROM 'a'", "hi") == R"({"p":"aGk="})");
  CHECK(evaluated("SELECT a FROM 'a'", "{\"a\":1,") == "{}");
  CHECK(evaluated("SELECT * FROM 'a' WHERE isUndefined(a)", "{\"a\":1,") == "{\"a\":1,");
  CHECK(evaluated("SELECT VALUE missing FROM 'a'", "{}").empty());
}

TEST_CASE("Subqueries see their element, their alias and the enclosing payload by FROM alone") {
  const std::string_view payload = R"({"a":[{"b":[1,2],"k":1},{"b":[3],"k":2}],"k":9,"c":[7]})";
  CHECK(
      evaluated(
          "SELECT VALUE (SELECT VALUE (SELECT VALUE x + 1 FROM b AS x) FROM a) FROM 'a'", payload
      ) == "[[2,3],[4]]"
  );
  CHECK(evaluated("SELECT VALUE (SELECT VALUE k FROM a) FROM 'a'", payload) == "[1,2]");
  CHECK(
      evaluated(
          "SELECT VALUE (SELECT VALUE (SELECT VALUE y FROM c AS y) FROM a) FROM 'a'", payload
      ) == "[[7],[7]]"
  );
  CHECK(
      evaluated(
          "SELECT VALUE (SELECT VALUE i.k FROM a AS i WHERE EXISTS (SELECT * FROM i.b AS x WHERE x "
          "> 2)) FROM 'a'",
          payload
      ) == "[2]"
  );
  CHECK(evaluated("SELECT VALUE (SELECT * FROM a WHERE k = 5) FROM 'a'", payload) == "[]");
}

TEST_CASE("Work is bounded: steps, memory, size of the result") {
  EvaluationLimits few;
  few.steps_max = 1000;
  std::string big = "{\"a\":[";
  for (int i = 0; i < 2000; ++i) {
    big += "1,";
  }
  big.back() = ']';
  big += "}";
  CHECK_THAT(
      evaluated(
          "SELECT (SELECT VALUE (SELECT VALUE 1 FROM a) FROM a) AS r FROM 'a'",
          big,
          Version::k2016_03_23,
          {},
          few
      ),
      Catch::Matchers::StartsWith("error: the statement takes more than 1000 steps")
  );
  CHECK_THAT(
      evaluated(
          "SELECT get_or_default((SELECT VALUE (SELECT VALUE 1 FROM a) FROM a), 1) AS r FROM 'a'",
          big,
          Version::k2016_03_23,
          {},
          few
      ),
      Catch::Matchers::StartsWith("error: the statement takes more than 1000 steps")
  );
  EvaluationLimits small;
  small.memory_bytes_max = 64U << 10;
  const std::string text = "{\"s\":\"" + std::string(20000, 'x') + "\"}";
  CHECK_THAT(
      evaluated(
          "SELECT s + s + s + s + s + s AS r FROM 'a'", text, Version::k2016_03_23, {}, small
      ),
      Catch::Matchers::StartsWith("error: the statement needs more than")
  );
  CHECK_THAT(
      evaluated(
          "SET @s = encode(s, 'base64') SELECT (SELECT VALUE decode(@s, 'base64') FROM a) AS r "
          "FROM 'a'",
          "{\"a\":[1,2,3,4,5,6,7,8],\"s\":\"" + std::string(20000, '1') + "\"}",
          Version::k2016_03_23,
          {},
          small
      ),
      Catch::Matchers::StartsWith("error: the statement needs more than")
  );
  CHECK_THAT(
      evaluated("SELECT [s,s,s,s,s,s,s,s,s] AS r FROM 'a'", text),
      Catch::Matchers::StartsWith("error: the result has")
  );
  CHECK_THAT(
      evaluated("SELECT replace(s, 'x', s) AS r FROM 'a'", text),
      Catch::Matchers::StartsWith("error: ")
  );
  CHECK_THAT(
      evaluated("SET @v = [s,s,s,s,s,s,s] SELECT get(@v, 0) AS r FROM 'a'", text),
      Catch::Matchers::StartsWith("error: @v is larger")
  );
}

TEST_CASE("A failed external call ends the rule, wherever it stands, unless a default is given") {
  CHECK_THAT(
      evaluated("SELECT get_secret('s', 'SecretString', 'r') AS r FROM 'a'", "{}"),
      Catch::Matchers::StartsWith("error: get_secret()")
  );
  CHECK_THAT(
      evaluated(
          "SELECT 1 AS r FROM 'a' WHERE isUndefined(get_secret('s', 'SecretString', 'r'))", "{}"
      ),
      Catch::Matchers::StartsWith("error: ")
  );
  CHECK(
      evaluated(
          "SELECT get_or_default(get_secret('s', 'SecretString', 'r'), 'd') AS r FROM 'a'", "{}"
      ) == R"({"r":"d"})"
  );
  CHECK(
      evaluated(
          "SELECT CASE a WHEN 1 THEN 'x' ELSE get_secret('s', 'SecretString', 'r') END AS r FROM "
          "'a'",
          R"({"a":1})"
      ) == R"({"r":"x"})"
  );
  CHECK_THAT(
      evaluated("SELECT decode(*, 'proto', 'b', 'k', 'f', 'm') AS r FROM 'a'", "{}"),
      Catch::Matchers::Contains("not available here")
  );
}

TEST_CASE("A variable is computed once, also for templates") {
  class Counting final : public ExternalFunctions {
   public:
    Result<std::string> call(std::string_view /*function*/, const json::array& /*arguments*/)
        override {
      return std::to_string(++calls);
    }

    int calls = 0;
  };

  auto program = compile(
      "SET @v = aws_lambda('f', a) SELECT @v AS x, @v + 1 AS y FROM 'a' WHERE @v = 1",
      Version::k2016_03_23
  );
  REQUIRE(program.has_value());
  auto text = compile_template("k/${@v}/${a}/$x/${missing}", *program);
  REQUIRE(text.has_value());
  CHECK_FALSE(text->is_literal());
  CHECK(compile_template("plain", *program)->is_literal());
  const MessageView message;
  ParsedPayload payload("{\"a\":[1,2]}");
  Counting external;
  CountingRandom random;
  Evaluation evaluation(*program, message, payload, external, random);
  CHECK(evaluation.run().value()->view() == R"({"x":1,"y":2})");
  CHECK(evaluation.render(*text).value() == "k/1/[1,2]/$x/");
  CHECK(external.calls == 1);
}

TEST_CASE("A template's error points into the template") {
  auto program = compile("SELECT * FROM 'a'", Version::k2016_03_23);
  REQUIRE(program.has_value());
  const auto error = [&](std::string_view text) {
    const auto compiled = compile_template_source(text, *program);
    REQUIRE_FALSE(compiled.has_value());
    return compiled.error();
  };
  CHECK(error("ab${").offset == 2);
  CHECK(error("ab${a").offset == 2);
  CHECK(error("ab${}").offset == 4);
  CHECK(error("ab${a b}").offset == 6);
  CHECK(error("ab${x}${flor(1)}").offset == 8);
  CHECK(error("${@v}").message == "@v is not set; SET it before SELECT");
  CHECK_FALSE(compile_template("${decode(*, 'proto', 'b', 'k', 'f', 'm')}", *program).has_value());
}

TEST_CASE("Constant parts are computed when the statement is compiled") {
  CHECK(
      evaluated("SELECT VALUE {'a': [1 + 1, upper('x')], 'b': {'c': md5('hello')}} FROM 'a'", "") ==
      R"({"a":[2,"X"],"b":{"c":"5d41402abc4b2a76b9719d911017c592"}})"
  );
  const auto never = compile("SELECT * FROM 'a' WHERE 1 > 2", Version::k2016_03_23);
  REQUIRE(never.has_value());
  CHECK(never->notes().size() == 1);
}

TEST_CASE("Text functions count UTF-16 units and never break UTF-8") {
  CHECK(evaluated("SELECT VALUE length('a😀b') FROM 'a'", "") == "4");
  CHECK(evaluated("SELECT VALUE substring('a😀b', 1, 3) FROM 'a'", "") == "\"😀\"");
  CHECK(evaluated("SELECT VALUE substring('a😀b', 2) FROM 'a'", "") == "\"\uFFFDb\"");
  CHECK(evaluated("SELECT VALUE indexof('a😀b', 'b') FROM 'a'", "") == "3");
  CHECK(evaluated("SELECT VALUE upper('straße ü') FROM 'a'", "") == "\"STRASSE Ü\"");
  CHECK(evaluated("SELECT VALUE trim('\u00a0 x\t\u3000') FROM 'a'", "") == "\"x\"");
  CHECK(evaluated("SELECT VALUE regexp_replace('äöü', '', '-') FROM 'a'", "") == "\"-ä-ö-ü-\"");
  CHECK(
      evaluated(
          "SELECT VALUE regexp_replace(s, p, '<$0>') FROM 'a'", R"({"s":"a1b22","p":"[0-9]+"})"
      ) == "\"a<1>b<22>\""
  );
  CHECK(evaluated("SELECT VALUE 'it''s' + \" \"\"x\"\"\" FROM 'a'", "") == R"("it's \"x\"")");
}

}  // namespace
}  // namespace iotcore::rules::sql
