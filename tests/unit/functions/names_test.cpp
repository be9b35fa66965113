#include "functions/definition.h"
#include "functions/invocation.h"
#include "functions/launcher.h"
#include "functions/runtime_api.h"

#include <catch2/catch.hpp>

#include <array>

namespace iotcore::functions {

TEST_CASE("function names in all of AWS's forms") {
  struct Case {
    const char* text;
    const char* name;
    const char* qualifier;
  };

  const auto cases = std::to_array<Case>({
      {"decode", "decode", ""},
      {"decode:prod", "decode", "prod"},
      {"decode:7", "decode", "7"},
      {"decode:$LATEST", "decode", "$LATEST"},
      {"function:decode", "decode", ""},
      {"123456789012:function:decode", "decode", ""},
      {"123456789012:function:decode:3", "decode", "3"},
      {"arn:aws:lambda:us-east-1:123456789012:function:decode", "decode", ""},
      {"arn:aws:lambda:us-east-1:123456789012:function:de_co-de:live", "de_co-de", "live"},
      {"arn:aws-cn:lambda:cn-north-1:123456789012:function:decode", "decode", ""},
      {"", "", ""},
      {"arn:aws:lambda:us-east-1:123456789012:function:", "", ""},
      {"arn:aws:lambda:us-east-1:123456789012:layer:decode", "", ""},
      {"de code", "", ""},
      {"decode:", "", ""},
      {"decode:a:b", "", ""},
      {"../decode", "", ""},
  });
  for (const Case& each : cases) {
    INFO(each.text);
    const FunctionName read = parse_function_name(each.text);
    CHECK(read.name == each.name);
    CHECK(read.qualifier == each.qualifier);
  }
  CHECK(parse_function_name(std::string(140, 'a')).name.size() == 140);
  CHECK(parse_function_name(std::string(141, 'a')).name.empty());
}

TEST_CASE("what the Runtime API is asked") {
  const auto read = [](const char* method, const char* target) {
    net::HttpRequest request;
    request.method = method;
    request.target = target;
    return read_runtime_request(request);
  };
  CHECK(read("GET", "/2018-06-01/runtime/invocation/next").call == RuntimeCall::kNext);
  const RuntimeRequest response = read("POST", "/2018-06-01/runtime/invocation/a-b/response");
  CHECK(response.call == RuntimeCall::kResponse);
  CHECK(response.request_id == "a-b");
  CHECK(read("POST", "/2018-06-01/runtime/invocation/a-b/error").call == RuntimeCall::kError);
  CHECK(read("POST", "/2018-06-01/runtime/init/error").call == RuntimeCall::kInitError);
  CHECK(read("POST", "/2018-06-01/runtime/invocation/next").call == RuntimeCall::kUnknown);
  CHECK(read("GET", "/2018-06-01/runtime/invocation/x/response").call == RuntimeCall::kUnknown);
  CHECK(read("POST", "/2018-06-01/runtime/invocation/x/other").call == RuntimeCall::kUnknown);
  CHECK(read("GET", "/2015-03-31/runtime/invocation/next").call == RuntimeCall::kUnknown);
  CHECK(read("GET", "/").call == RuntimeCall::kUnknown);
}

TEST_CASE("what an event looks like to a process") {
  Event event;
  event.request_id = "id";
  event.function_arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
  event.payload = "{}";
  event.deadline_ms = 1234;
  event.trace_id = make_trace_id(0x5759e988, "0123456789abABCDEFGH");
  const net::HttpResponse response = event_response(event);
  CHECK(response.status == 200);
  CHECK(response.body == "{}");
  CHECK(*response.headers.find("lambda-runtime-aws-request-id") == "id");
  CHECK(*response.headers.find("lambda-runtime-deadline-ms") == "1234");
  CHECK(*response.headers.find("lambda-runtime-invoked-function-arn") == event.function_arn);
  CHECK(
      *response.headers.find("lambda-runtime-trace-id") ==
      "Root=1-5759e988-303132333435363738396162;Parent=4142434445464748;Sampled=0"
  );
  CHECK(response.headers.find("lambda-runtime-client-context") == nullptr);
}

TEST_CASE("errors of functions in words") {
  const auto words = [](const char* payload) { return describe_error({payload, true}); };
  CHECK(words(R"({"errorType":"ValueError","errorMessage":"no"})") == "ValueError: no");
  CHECK(words(R"({"errorMessage":"no"})") == "no");
  CHECK(words(R"({"errorType":"E"})") == "E");
  CHECK(words("[1]") == "[1]");
  CHECK(words("broken") == "broken");
}

TEST_CASE("a launch survives its way through arguments") {
  Launch launch;
  launch.command = {"python3", "-m", "app", "--", "dir=x"};
  launch.dir = "/srv/with space";
  launch.runtimes = "/usr/share/x";
  launch.hidden = "/var/lib/y";
  launch.user = "nobody";
  launch.memory_bytes = 1234567890123;
  launch.network = true;
  launch.must_isolate = true;
  const std::vector<std::string> texts = to_arguments(launch);
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const Result<Launch> read = parse_arguments(views);
  REQUIRE(read);
  CHECK(read->command == launch.command);
  CHECK(read->dir == launch.dir);
  CHECK(read->runtimes == launch.runtimes);
  CHECK(read->hidden == launch.hidden);
  CHECK(read->user == launch.user);
  CHECK(read->memory_bytes == launch.memory_bytes);
  CHECK(read->network);
  CHECK(read->must_isolate);
  CHECK_FALSE(parse_arguments(std::vector<std::string_view>{"what=1", "--", "x"}));
  CHECK_FALSE(parse_arguments(std::vector<std::string_view>{"dir=/", "--"}));
}

}  // namespace iotcore::functions
