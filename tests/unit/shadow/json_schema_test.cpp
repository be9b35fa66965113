#include "shadow/document/json_schema.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

namespace iotcore::shadow::document {
namespace {

// "": valid; otherwise path and message.
std::string verdict(std::string_view schema, std::string_view value) {
  const auto compiled = JsonSchema::compile(schema);
  if (!compiled) {
    return "schema " + compiled.error().message();
  }
  const auto violation = (*compiled)->check(parse_json(value).value());
  return violation ? violation->path + ": " + violation->message : "";
}

struct Case {
  const char* schema;
  std::vector<const char*> valid;
  std::vector<const char*> invalid;
};

TEST_CASE("Keywords of JSON Schema") {
  const std::vector<Case> cases = {
      {"true", {"1", "{}"}, {}},
      {"false", {}, {"1", "{}"}},
      {R"({"type":"integer"})",
       {"1", "1.0", "-3", "18446744073709551615"},
       {"1.5", "\"1\"", "true", "null"}},
      {R"({"type":["string","null"]})", {"\"\"", "null"}, {"1", "[]"}},
      {R"({"type":"number"})", {"1", "1.5"}, {"\"1\""}},
      {R"({"type":"boolean"})", {"true"}, {"0", "1"}},
      {R"({"enum":[1,"a",{"b":[2]}]})",
       {"1", "1.0", "\"a\"", R"({"b":[2.0]})"},
       {"2", "true", R"({"b":[3]})"}},
      {R"({"const":{"a":1,"b":2}})", {R"({"b":2,"a":1})"}, {R"({"a":1})"}},
      {R"({"minimum":1,"maximum":3})", {"1", "3", "\"x\""}, {"0.9", "3.1"}},
      {R"({"exclusiveMinimum":1,"exclusiveMaximum":3})", {"2"}, {"1", "3"}},
      {R"({"multipleOf":0.1})", {"0.3", "7"}, {"0.35"}},
      {R"({"multipleOf":3})", {"9", "0"}, {"10"}},
      {R"({"minLength":2,"maxLength":3})", {R"("äö")", "\"abc\"", "1"}, {"\"a\"", R"("äöüß")"}},
      {R"({"pattern":"^a+$"})", {"\"aa\"", "1"}, {"\"ab\""}},
      {R"({"prefixItems":[{"type":"string"}],"items":{"type":"number"}})",
       {R"(["a",1])", "[]"},
       {"[1]", R"(["a","b"])"}},
      {R"({"items":[{"type":"string"}],"additionalItems":false})", {R"(["a"])"}, {R"(["a",1])"}},
      {R"({"contains":{"const":1},"minContains":2,"maxContains":3})",
       {"[1,1,2]"},
       {"[1]", "[1,1,1,1]"}},
      {R"({"contains":{"const":1},"minContains":0})", {"[]"}, {}},
      {R"({"minItems":1,"maxItems":2})", {"[1]"}, {"[]", "[1,2,3]"}},
      {R"({"uniqueItems":true})",
       {"[1,true,\"1\",[1],{\"a\":1}]"},
       {"[1,1.0]", R"([{"a":1,"b":2},{"b":2,"a":1}])"}},
      {R"({"properties":{"a":{"type":"string"}},"additionalProperties":false})",
       {R"({"a":""})", "{}"},
       {R"({"a":1})", R"({"b":1})"}},
      {R"({"patternProperties":{"^x":{"type":"number"}},"additionalProperties":{"type":"string"}})",
       {R"({"x1":1,"y":""})"},
       {R"({"x1":""})", R"({"y":1})"}},
      {R"({"propertyNames":{"maxLength":1}})", {R"({"a":1})"}, {R"({"ab":1})"}},
      {R"({"required":["a"]})", {R"({"a":null})", "1"}, {"{}"}},
      {R"({"minProperties":1,"maxProperties":1})", {R"({"a":1})"}, {"{}", R"({"a":1,"b":1})"}},
      {R"({"dependentRequired":{"a":["b"]}})", {R"({"b":1})", R"({"a":1,"b":1})"}, {R"({"a":1})"}},
      {R"({"dependencies":{"a":["b"],"c":{"required":["d"]}}})",
       {R"({"a":1,"b":1})"},
       {R"({"a":1})", R"({"c":1})"}},
      {R"({"allOf":[{"minimum":1},{"maximum":2}]})", {"1"}, {"0", "3"}},
      {R"({"anyOf":[{"maximum":1},{"minimum":3}]})", {"1", "3"}, {"2"}},
      {R"({"oneOf":[{"maximum":2},{"minimum":2}]})", {"1", "3"}, {"2"}},
      {R"({"not":{"type":"null"}})", {"1"}, {"null"}},
      {R"({"if":{"minimum":10},"then":{"multipleOf":10},"else":{"maximum":5}})",
       {"20", "5"},
       {"11", "7"}},
      {R"({"if":false,"then":false})", {"1"}, {}},
      {R"({"$ref":"#/$defs/n","$defs":{"n":{"type":"number"}}})", {"1"}, {"\"\""}},
      {R"({"properties":{"child":{"$ref":"#"}},"additionalProperties":false})",
       {R"({"child":{"child":{}}})"},
       {R"({"child":{"x":{}}})"}},
      {R"({"$ref":"#n","$defs":{"any/~name":{"$anchor":"n","type":"null"}}})", {"null"}, {"1"}},
      {R"({"$ref":"#/definitions/a~1b","definitions":{"a/b":{"type":"null"}}})", {"null"}, {"1"}},
      {R"({"format":"email","title":"t","x-own":1,"default":3})", {"1"}, {}},
  };
  for (const Case& each : cases) {
    INFO(each.schema);
    for (const char* value : each.valid) {
      INFO(value);
      CHECK(verdict(each.schema, value) == "");
    }
    for (const char* value : each.invalid) {
      INFO(value);
      const std::string said = verdict(each.schema, value);
      CHECK(said.find(": must") != std::string::npos);
    }
  }
}

TEST_CASE("A violation names the value by JSON Pointer") {
  const char* const schema =
      R"({"properties":{"a/b":{"items":{"properties":{"x~":{"maximum":3}}}}}})";
  CHECK(verdict(schema, R"({"a/b":[{},{"x~":4}]})") == "/a~1b/1/x~0: must be at most 3");
  CHECK(verdict(R"({"required":["led"]})", "{}") == ": must have led");
  CHECK(verdict(R"({"type":["string","null"]})", "1") == ": must be of type string or null");
  CHECK(verdict(R"({"enum":["on","off"]})", "1") == R"(: must be one of ["on","off"])");
}

TEST_CASE("What a schema can't be held to, it is refused for") {
  const std::vector<const char*> schemas = {
      "1",
      "{",
      R"({"type":"int"})",
      R"({"minimum":"1"})",
      R"({"minLength":-1})",
      R"({"multipleOf":0})",
      R"x({"pattern":"("})x",
      R"x({"pattern":"(?=a)"})x",
      R"({"unevaluatedProperties":false})",
      R"({"$ref":"http://example.com/schema"})",
      R"({"$ref":"#/$defs/absent"})",
      R"({"properties":[]})",
      R"({"allOf":{}})",
      R"({"required":"a"})",
  };
  for (const char* schema : schemas) {
    INFO(schema);
    CHECK_FALSE(JsonSchema::compile(schema));
  }
  CHECK(
      JsonSchema::compile(R"({"properties":{"a":{"type":"x"}}})").error().message() ==
      "at #/properties/a: unknown type"
  );
}

TEST_CASE("A schema that refers to itself without going deeper ends") {
  CHECK(verdict(R"({"$ref":"#"})", "1").find("without end") != std::string::npos);
  CHECK(verdict(R"({"anyOf":[{"$ref":"#"},{"type":"number"}]})", "1").empty());
}

}  // namespace
}  // namespace iotcore::shadow::document
