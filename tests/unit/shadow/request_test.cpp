#include "shadow/document/request.h"

#include "shadow/document/names.h"
#include "shadow/document/operations.h"

#include <catch2/catch.hpp>

#include <string>

namespace iotcore::shadow::document {
namespace {

std::string refusal(std::string_view payload, const Limits& limits = {}) {
  const ParsedUpdate parsed = parse_update(payload, limits);
  return parsed.request ? "accepted" : error_body(parsed.request.error(), parsed.client_token);
}

std::string nested(int levels) {
  std::string out = R"({"state":{"desired":)";
  for (int i = 0; i < levels; ++i) {
    out += R"({"k":)";
  }
  out += "1";
  return out + std::string(static_cast<std::size_t>(levels) + 2, '}');
}

TEST_CASE("An update that is not well-formed is refused in AWS's words") {
  struct Case {
    std::string payload;
    std::string expected;
  };

  const auto body = [](const char* code, const std::string& message) {
    return std::string("{\"code\":") + code + ",\"message\":\"" + message + "\"}";
  };
  const Case cases[] = {
      {"{\"state\":\"\xFF\"}",
       body("415", "Unsupported documented encoding; supported encoding is UTF-8")},
      {"", body("400", "Payload contains invalid json")},
      {"[1]", body("400", "Payload contains invalid json")},
      {"{} {}", body("400", "Payload contains invalid json")},
      {R"({"state":{},"x":"\ud800"})", body("400", "Payload contains invalid json")},
      {R"({"clientToken":5})", body("400", "Invalid clientToken")},
      {R"({"clientToken":"t"})",
       R"({"code":400,"message":"Missing required node: state","clientToken":"t"})"},
      {R"({"clientToken":""})",
       R"({"code":400,"message":"Missing required node: state","clientToken":""})"},
      {R"({"state":[]})", body("400", "State node must be an object")},
      {R"({"state":{"a\"b":{}}})", body("400", R"(State contains an invalid node: 'a\"b')")},
      {R"({"state":{"desired":1}})", body("400", "Desired node must be an object")},
      {R"({"state":{"reported":[]}})", body("400", "Reported node must be an object")},
      {R"({"state":{"reported":{"a":[1,null]}}})", body("400", "Invalid JSON")},
      {R"({"state":{"reported":{"a":[{"b":null}]}}})", body("400", "Invalid JSON")},
      {R"({"state":{},"x":[null]})", "accepted"},
      {R"({"state":{},"version":"1"})", body("400", "Invalid version")},
      {R"({"state":{},"version":-1})", body("400", "Invalid version")},
      {R"({"state":{},"version":1.0})", body("400", "Invalid version")},
      {R"({"state":{},"version":{}})", body("400", "Invalid version")},
      {R"({"state":{},"version":99999999999999999999})", body("400", "Invalid version")},
      {R"({"state":{},"version":18446744073709551615})", "accepted"},
      {R"({"state":{"desired":null,"reported":{}}})", "accepted"},
      {R"({"state":null,"metadata":7,"timestamp":[]})", "accepted"},
  };
  for (const Case& c : cases) {
    INFO(c.payload);
    CHECK(refusal(c.payload) == c.expected);
  }
}

TEST_CASE("Limits of an update hold at the limit and one above") {
  CHECK(refusal(nested(6)) == "accepted");
  CHECK(
      refusal(nested(7)) ==
      R"({"code":400,"message":"JSON contains too many levels of nesting; maximum is 6"})"
  );
  CHECK(refusal(nested(7), {.depth_max = 7}) == "accepted");
  // Only what is in the sections counts.
  CHECK(
      refusal(R"({"x":{"x":{"x":{"x":{"x":{"x":{"x":{"x":{"x":1}}}}}}}},"state":{}})") == "accepted"
  );

  const auto with_token = [](std::size_t bytes) {
    return R"({"state":{},"clientToken":")" + std::string(bytes, 't') + "\"}";
  };
  CHECK(refusal(with_token(64)) == "accepted");
  CHECK(refusal(with_token(65)) == R"({"code":400,"message":"Invalid clientToken"})");
  // Bytes, not characters, and not the bytes of the escape.
  CHECK(
      refusal(R"({"state":{},"clientToken":"\u00fc)" + std::string(62, 't') + "\"}") == "accepted"
  );
  CHECK(
      refusal(R"({"state":{},"clientToken":"\u00fc)" + std::string(63, 't') + "\"}") != "accepted"
  );

  const std::string request = R"({"state":{}})";
  CHECK(refusal(request, {.request_bytes_max = request.size()}) == "accepted");
  CHECK(
      refusal(request, {.request_bytes_max = request.size() - 1}) ==
      R"({"code":413,"message":"The payload exceeds the maximum size allowed"})"
  );
}

TEST_CASE("The token of a get or a delete is found in whatever came") {
  CHECK(client_token_of(R"({"clientToken":"a\nb","x":[null]})") == "a\nb");
  CHECK(client_token_of("") == std::nullopt);
  CHECK(client_token_of("{}") == std::nullopt);
  CHECK(client_token_of("\x01\xFF") == std::nullopt);
  CHECK(client_token_of(R"(["clientToken"])") == std::nullopt);
  CHECK(client_token_of(R"({"clientToken":7})") == std::nullopt);
  CHECK(client_token_of(R"({"clientToken":")" + std::string(65, 'x') + "\"}") == std::nullopt);
}

TEST_CASE("Names of things and shadows keep their alphabets and lengths") {
  CHECK(validate_thing_name("aZ09:_-"));
  CHECK(validate_thing_name(std::string(128, 'x')));
  const std::string no_things[] = {"", std::string(129, 'x'), "a b", "$a", "a/b"};
  for (const std::string& name : no_things) {
    CHECK_FALSE(validate_thing_name(name));
  }
  CHECK(validate_shadow_name("$package"));
  CHECK(validate_shadow_name(std::string(64, 'x')));
  const std::string no_shadows[] = {"", std::string(65, 'x'), "a#"};
  for (const std::string& name : no_shadows) {
    CHECK_FALSE(validate_shadow_name(name));
  }
  CHECK(no_such_shadow("t", "").message() == "No shadow exists with name: 't'");
  CHECK(no_such_shadow("t", "s").message() == "No shadow exists with name: 't~s'");
}

}  // namespace
}  // namespace iotcore::shadow::document
