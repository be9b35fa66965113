// What targets and actions say of functions; how functions run is tested in tests/unit/functions and tests/integration/test_functions.py.
#include "rules/action.h"
#include "rules/functions/function_sink.h"
#include "rules/functions/remote_function.h"
#include "rules/member_reader.h"

#include <catch2/catch.hpp>

namespace iotcore::rules {
namespace {

// What is wrong with a target; empty: nothing.
std::string wrong(const char* kind, const char* options) {
  Target target;
  target.name = "f";
  target.kind = kind;
  target.options = parse_json(options)->as_object();
  const auto checked = check_target(std::move(target));
  return checked ? "" : checked.error().pointer + ": " + checked.error().message;
}

functions::Definition read(const char* options) {
  const json::object members = parse_json(options)->as_object();
  MemberReader reader(members, "", nullptr);
  return read_function(reader);
}

Outcome outcome(
    const Result<functions::Answer>& answer, std::uint32_t attempts, std::uint32_t max
) {
  Record record;
  record.attempts = attempts;
  record.attempts_max = max;
  return outcome_of(answer, record);
}

}  // namespace

TEST_CASE("options of functions") {
  CHECK(wrong("function", R"({"runtime":"python","handler":"a.b","dir":"x"})").empty());
  CHECK(wrong(
            "function",
            R"({"command":["x"],"dir":"x","timeout":900,"memory":64,"concurrency":1000})"
  )
            .empty());
  CHECK(wrong(
            "function",
            R"({"command":["x"],"dir":"x","env":{"A":"b","C":{"$secret":"d"}},"network":true})"
  )
            .empty());
  const auto says = [](const char* options, const char* what) {
    INFO(options);
    const std::string text = wrong("function", options);
    INFO(text);
    CHECK(text.find(what) != std::string::npos);
  };
  says(R"({"dir":"x"})", "one of runtime and command");
  says(
      R"({"runtime":"python","command":["x"],"handler":"a.b","dir":"x"})",
      "one of runtime and command"
  );
  says(R"({"runtime":"pyton","handler":"a.b","dir":"x"})", "did you mean 'python'");
  says(R"({"runtime":"python","dir":"x"})", "/handler");
  says(R"({"command":[],"dir":"x"})", "/command");
  says(R"({"command":["x",1],"dir":"x"})", "/command");
  says(R"({"command":["x"]})", "dir");
  says(R"({"command":["x"],"dir":"x","timeout":0})", "1 to 900");
  says(R"({"command":["x"],"dir":"x","timeout":901})", "1 to 900");
  says(R"({"command":["x"],"dir":"x","memory":63})", "64 to 10240");
  says(R"({"command":["x"],"dir":"x","concurrency":1001})", "1 to 1000");
  says(R"({"command":["x"],"dir":"x","env":{"A":1}})", "/env/A");
  says(R"({"command":["x"],"dir":"x","env":{"AWS_LAMBDA_RUNTIME_API":"b"}})", "set by the server");
  says(R"({"command":["x"],"dir":"x","env":{"A=B":"b"}})", "not the name of a variable");
  says(R"({"command":["x"],"dir":"x","nework":true})", "did you mean network");
}

TEST_CASE("what a function target stands for") {
  const functions::Definition python =
      read(R"({"runtime":"python","handler":"src/app.f","dir":"x"})");
  CHECK(
      python.command == std::vector<std::string>{"python3", "-m", "iotcore_runtime", "src/app.f"}
  );
  CHECK(python.handler == "src/app.f");
  CHECK(python.timeout == std::chrono::seconds(3));
  CHECK(python.version == "$LATEST");
  CHECK_FALSE(python.network);
  const functions::Definition other = read(
      R"({"command":["./bootstrap","-x"],"dir":"/srv/y","timeout":9,"memory":512,"concurrency":2,"version":"3","env":{"A":"b"},"network":true})"
  );
  CHECK(other.handler == "-x");
  CHECK(other.dir == "/srv/y");
  CHECK(other.timeout == std::chrono::seconds(9));
  CHECK(other.memory_mib == 512);
  CHECK(other.concurrency == 2);
  CHECK(other.environment == std::map<std::string, std::string>{{"A", "b"}});
  CHECK(other.network);
}

TEST_CASE("options of functions elsewhere") {
  CHECK(
      wrong(
          "lambda",
          R"({"match":"*","url":"http://127.0.0.1:9000/2015-03-31/functions/function/invocations"})"
      )
          .empty()
  );
  CHECK(
      wrong(
          "lambda",
          R"({"match":"*","url":"https://lambda.eu-west-1.amazonaws.com","region":"eu-west-1","accessKey":"a","secretKey":{"$secret":"s"}})"
      )
          .empty()
  );
  CHECK(
      wrong(
          "stepFunctions",
          R"({"match":"*","url":"https://states.eu-west-1.amazonaws.com","account":"123456789012"})"
      )
          .empty()
  );
  CHECK(wrong("lambda", R"({"match":"*"})").find("url") != std::string::npos);
  CHECK(wrong("lambda", R"({"url":"ftp://x"})").find("/url") != std::string::npos);
  CHECK(wrong("lambda", R"({"url":"http://"})").find("/url") != std::string::npos);
  CHECK(wrong("lambda", R"({"url":"http://x","accessKey":"a"})").find("both") != std::string::npos);
}

TEST_CASE("what becomes of a record after its function has answered") {
  using Kind = Outcome::Kind;
  const functions::Answer error{R"({"errorType":"E","errorMessage":"m"})", true};
  CHECK(outcome(functions::Answer{"{}", false}, 0, 0).kind == Kind::kDelivered);
  // Two retries, as AWS; or as many as the action says, which the queue counts.
  CHECK(outcome(error, 0, 0).kind == Kind::kRetry);
  CHECK(outcome(error, 0, 0).is_own);
  CHECK(outcome(error, 1, 0).kind == Kind::kRetry);
  CHECK(outcome(error, 2, 0).kind == Kind::kPermanent);
  CHECK(outcome(error, 2, 0).reason == "the function failed: E: m");
  CHECK(outcome(error, 50, 100).kind == Kind::kRetry);
  for (const Errc code : {Errc::kUnavailable, Errc::kThrottled, Errc::kTimeout}) {
    const Outcome later = outcome(fail(code, "x"), 50, 0);
    CHECK(later.kind == Kind::kRetry);
    CHECK_FALSE(later.is_own);
  }
  for (const Errc code : {Errc::kNotFound, Errc::kTooLarge, Errc::kForbidden}) {
    CHECK(outcome(fail(code, "x"), 0, 0).kind == Kind::kPermanent);
  }
}

}  // namespace iotcore::rules
