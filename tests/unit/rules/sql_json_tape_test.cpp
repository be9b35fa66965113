#include "base/json.h"
#include "rules/sql/json_tape.h"
#include "rules/sql/payload.h"
#include "rules/sql/value.h"

#include <catch2/catch.hpp>

#include <string>

namespace iotcore::rules::sql {
namespace {

std::string rewritten(std::string_view text, bool keep_decimals = false) {
  JsonTape tape;
  if (!tape.parse(text)) {
    return "malformed";
  }
  Arena arena(1 << 20);
  std::string out;
  Values(arena, keep_decimals).append_json(out, Value::on_tape(tape, 0));
  return out;
}

TEST_CASE("JSON that is not JSON is refused") {
  for (const std::string_view bad :
       {"",
        " ",
        "{",
        "}",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "[01]",
        "[+1]",
        "[.5]",
        "[5.]",
        "[1e]",
        "[1e+]",
        "[-]",
        "[--1]",
        "[tru]",
        "[nul]",
        "[True]",
        "\"abc",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\uD800\"",
        "\"\\uD800\\u0041\"",
        "\"\\uDC00\"",
        "\"\x01\"",
        "[1]]",
        "{} {}",
        "\"\xC3\"",
        "\"\xED\xA0\x80\"",
        "\"\xC0\xAF\"",
        "[1 2]",
        "nan",
        "/* */1",
        "[\"\\"}) {
    CAPTURE(bad);
    JsonTape tape;
    CHECK_FALSE(tape.parse(bad));
    CHECK_FALSE(parse_json(bad).has_value());
  }
  CHECK(
      rewritten(std::string(64, '[') + std::string(64, ']')) ==
      std::string(64, '[') + std::string(64, ']')
  );
  CHECK(rewritten(std::string(65, '[') + std::string(65, ']')) == "malformed");
  CHECK(rewritten(std::string_view("\"\\\0\"", 4)) == "malformed");
}

TEST_CASE("JSON is written compactly, in order, with numbers as the version has them") {
  struct Case {
    std::string_view text;
    std::string_view v2016;
    std::string_view v2015;
  };

  const Case cases[] = {
      {"{}", "{}", "{}"},
      {" { \"b\" : [ 1 , 2.5 ] , \"a\" : null } ",
       "{\"b\":[1,2.5],\"a\":null}",
       "{\"b\":[1,2.5],\"a\":null}"},
      {"[10.0]", "[10]", "[10.0]"},
      {"[10.00]", "[10]", "[10.0]"},
      {"[1.50]", "[1.5]", "[1.5]"},
      {"[1E3]", "[1000]", "[1000.0]"},
      {"[1e-7,0.0000001]", "[1E-7,1E-7]", "[1E-7,1E-7]"},
      {"[-0]", "[0]", "[0]"},
      {"[-0.0]", "[0]", "[0.0]"},
      {"[12345678901234567890]", "[12345678901234567890]", "[12345678901234567890]"},
      {"[1e5000]", "[1e5000]", "[1e5000]"},
      {"{\"a\":1,\"a\":2}", "{\"a\":2}", "{\"a\":2}"},
      {"{\"a\":1,\"b\":3,\"\\u0061\":2}", "{\"b\":3,\"a\":2}", "{\"b\":3,\"a\":2}"},
      {"[\"\\u00fc\\ud83d\\ude00\\/\\n\\u0001\"]", "[\"ü😀/\\n\\u0001\"]", "[\"ü😀/\\n\\u0001\"]"},
      {"\"a\"", "\"a\"", "\"a\""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    CHECK(rewritten(c.text) == c.v2016);
    CHECK(rewritten(c.text, true) == c.v2015);
  }
}

TEST_CASE("The last of members with one name is the one that counts") {
  std::string many = "{";
  for (int i = 0; i < 200; ++i) {
    many += "\"k" + std::to_string(i % 150) + "\":" + std::to_string(i) + ",";
  }
  many.back() = '}';
  JsonTape tape;
  REQUIRE(tape.parse(many));
  CHECK(tape.raw(tape.node(tape.find(0, "k3"))) == "153");
  CHECK(tape.raw(tape.node(tape.find(0, "k149"))) == "149");
  CHECK(tape.find(0, "k150") == 0);
  const auto reparsed = parse_json(rewritten(many));
  REQUIRE(reparsed.has_value());
  CHECK(reparsed->as_object().size() == 150);
  CHECK(*reparsed == *parse_json(many));
}

TEST_CASE("A payload is JSON only as an object or array") {
  for (const auto& [text, is_json, is_malformed] :
       {std::tuple{"{\"a\":1}", true, false},
        {"[1]", true, false},
        {"80", false, false},
        {"\"x\"", false, false},
        {"", false, false},
        {"hello", false, false},
        {"{\"a\":", false, true},
        {"  ", false, false}}) {
    CAPTURE(text);
    ParsedPayload payload{std::string_view(text)};
    CHECK(payload.is_json() == is_json);
    CHECK(payload.is_malformed() == is_malformed);
  }
}

}  // namespace
}  // namespace iotcore::rules::sql
