#include "registry/authorizer_function.h"

#include "base/crypto.h"
#include "base/files.h"
#include "tests/unit/registry/fixture.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sys/stat.h>

namespace iotcore::registry {
namespace {

Result<std::string> call_program(const std::string& command) {
  std::signal(SIGPIPE, SIG_IGN);  // as the server does: a program need not read the event
  AuthorizerFunctions functions;
  functions.targets["f"] = command;
  return call_authorizer_function(
      functions, "a", "arn:aws:lambda:us-east-1:000000000000:function:f", "{}"
  );
}

TEST_CASE(
    "a URL of the API's leads to no private address that is not allowed, one of the "
    "configuration's to any"
) {
  AuthorizerFunctions functions;
  functions.targets["f"] = "http://127.0.0.1:1/";
  const auto code = [&](const char* function) {
    const auto answer = call_authorizer_function(functions, "a", function, "{}");
    REQUIRE_FALSE(answer);
    return answer.error().code();
  };
  CHECK(code("https://127.0.0.1:1/") == Errc::kForbidden);
  CHECK(code("https://localhost:1/") == Errc::kForbidden);  // known by its address alone
  CHECK(code("https://[::1]:1/") == Errc::kForbidden);
  CHECK(code("arn:aws:lambda:us-east-1:000000000000:function:f") == Errc::kUnavailable);
  functions.http.allowed = net::parse_address_ranges("127.0.0.1,::1").value();
  CHECK(code("https://localhost:1/") == Errc::kUnavailable);

  const net::HttpRules strict;
  CHECK_FALSE(check_function_arn(strict, "https://169.254.169.254/latest"));
  CHECK_FALSE(check_function_arn(strict, "http://a.example/"));
  CHECK_FALSE(check_function_arn(strict, "/bin/sh"));
  CHECK_FALSE(check_function_arn(strict, "file:///etc/passwd"));
  CHECK(check_function_arn(strict, "https://a.example/"));
  CHECK(check_function_arn(functions.http, "http://127.0.0.1/"));
}

TEST_CASE("an authorizer's program does not get the passphrase of the server") {
  REQUIRE(::setenv("IOTCORE_PASSPHRASE", "open sesame", 1) == 0);
  REQUIRE(::setenv("AUTHORIZER_SETTING", "kept", 1) == 0);
  const auto environment = call_program("/usr/bin/env");
  REQUIRE(environment);
  CHECK(environment->find("IOTCORE_PASSPHRASE") == std::string::npos);
  CHECK(environment->find("AUTHORIZER_SETTING=kept") != std::string::npos);
  ::unsetenv("IOTCORE_PASSPHRASE");
  ::unsetenv("AUTHORIZER_SETTING");
}

// As the server's threads have it.
TEST_CASE("signals reach an authorizer's program though the server blocks them") {
  const auto script = std::filesystem::temp_directory_path() / new_uuid();
  REQUIRE(write_file(
      script,
      "#!/bin/sh\ntrap 'echo reached; exit 0' TERM\nkill -TERM $$\necho blocked\n",
      FileMode::kPrivate
  ));
  ::chmod(script.c_str(), 0700);
  sigset_t signals;
  sigset_t before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, &before);
  const auto answer = call_program(script.string());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  std::filesystem::remove(script);
  REQUIRE(answer);
  CHECK(*answer == "reached\n");
}

}  // namespace
}  // namespace iotcore::registry
