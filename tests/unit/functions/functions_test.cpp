// Functions as processes: Python handlers on the runtime client that comes with the server, and programs that speak the Runtime API themselves.
#include "functions/functions.h"

#include "base/json.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <unistd.h>

namespace iotcore::functions {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kHandlers = R"(
import json, os, subprocess, sys, time

def echo(event, context):
    return event

def about(event, context):
    return {"id": context.aws_request_id, "arn": context.invoked_function_arn, "name": context.function_name,
            "version": context.function_version, "memory": context.memory_limit_in_mb, "handler": os.environ["_HANDLER"],
            "left": context.get_remaining_time_in_millis(), "pid": os.getpid(), "root": os.environ["LAMBDA_TASK_ROOT"],
            "colour": os.environ.get("COLOUR"), "uid": os.getuid(), "trace": os.environ["_X_AMZN_TRACE_ID"],
            "client": context.client_context.custom if context.client_context else None}

def work(event, context):
    if "print" in event:
        print(event["print"])
    if "sleep" in event:
        time.sleep(event["sleep"])
    if "raise" in event:
        raise ValueError(event["raise"])
    if "exit" in event:
        os._exit(event["exit"])
    if "size" in event:
        return "x" * event["size"]
    if "allocate" in event:
        return len(bytearray(event["allocate"]))
    if "child" in event:
        return subprocess.Popen(["sleep", "1000"]).pid
    if "connect" in event:
        import socket
        try:
            socket.create_connection(("127.0.0.1", event["connect"]), timeout=5).close()
            return True
        except OSError:
            return False
    if "list" in event:
        return os.listdir(event["list"])
    return os.getpid()

async def waits(event, context):
    import asyncio
    await asyncio.sleep(0.01)
    return "waited"
)";

class Folder {
 public:
  Folder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "iotcore-functions-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
    std::filesystem::create_directory(path_ / "f");
    write("app.py", kHandlers);
  }

  ~Folder() { std::filesystem::remove_all(path_); }

  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  void write(const char* name, const char* text) const {
    std::ofstream(path_ / "f" / name) << text;
  }

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct World {
  Folder folder;
  SystemClock clock;
  Metrics metrics;
  std::unique_ptr<Functions> functions;

  World() {
    Site site;
    site.base = folder.path();
    site.runtimes = std::filesystem::path(IOTCORE_SOURCE_DIR) / "deploy/functions";
    site.start_time_max = seconds(60);  // sanitizers are slow
    functions = std::make_unique<Functions>(site, clock, metrics);
  }

  Definition python(const std::string& handler) const {
    Definition definition;
    definition.name = "f";
    definition.command = {"/usr/bin/python3", "-m", "iotcore_runtime", "app." + handler};
    definition.handler = "app." + handler;
    definition.dir = "f";
    definition.timeout = seconds(60);
    return definition;
  }

  Result<Answer> call(std::string payload, milliseconds patience = {}) const {
    Invocation invocation;
    invocation.payload = std::move(payload);
    invocation.patience = patience;
    return functions->call("f", std::move(invocation));
  }

  // What it returned.
  json::value ok(std::string payload) const {
    const Result<Answer> answer = call(std::move(payload));
    INFO((answer ? answer->payload : answer.error().message()));
    REQUIRE(answer);
    REQUIRE_FALSE(answer->is_error);
    return *parse_json(answer->payload);
  }

  // How it failed.
  std::string error(std::string payload) const {
    const Result<Answer> answer = call(std::move(payload));
    INFO((answer ? answer->payload : answer.error().message()));
    REQUIRE(answer);
    REQUIRE(answer->is_error);
    return describe_error(*answer);
  }
};

bool is_alive(std::int64_t pid) {
  return std::filesystem::exists("/proc/" + std::to_string(pid) + "/cwd");
}

// Also one that is dead and not yet waited for counts as gone.
bool goes_away(std::int64_t pid) {
  for (int i = 0; i < 2000; ++i) {
    std::error_code error;
    if (std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/exe", error).empty()) {
      return true;
    }
    ::usleep(5000);
  }
  return false;
}

}  // namespace

TEST_CASE("a function gets what is sent and says what comes back") {
  World world;
  world.functions->define({world.python("echo")});
  CHECK(to_json(world.ok(R"({"a":[1,2.5,"ü",null]})")) == R"({"a":[1,2.5,"ü",null]})");
  CHECK(to_json(world.ok("7")) == "7");
}

TEST_CASE("a function knows who it is") {
  World world;
  Definition definition = world.python("about");
  definition.version = "12";
  definition.environment = {{"COLOUR", "blue"}};
  world.functions->define({definition});
  Invocation invocation;
  invocation.payload = "{}";
  invocation.function_arn = "arn:aws:lambda:us-east-1:000000000000:function:f:live";
  invocation.client_context = R"({"custom":{"x":1}})";
  const Result<Answer> answer = world.functions->call("f", std::move(invocation));
  REQUIRE(answer);
  const json::value about = *parse_json(answer->payload);
  CHECK(about.at("id").as_string().size() == 36);
  CHECK(about.at("arn").as_string() == "arn:aws:lambda:us-east-1:000000000000:function:f:live");
  CHECK(about.at("name").as_string() == "f");
  CHECK(about.at("version").as_string() == "12");
  CHECK(about.at("memory").as_string() == "256");
  CHECK(about.at("handler").as_string() == "app.about");
  CHECK(about.at("colour").as_string() == "blue");
  CHECK(about.at("client").at("x") == 1);
  CHECK(std::string_view(about.at("trace").as_string()).starts_with("Root=1-"));
  CHECK(about.at("left").as_int64() > 0);
  CHECK(about.at("left").as_int64() <= 60'000);
  if (::geteuid() == 0) {
    CHECK(about.at("uid").as_int64() != 0);
  }
  const json::value again = world.ok("{}");
  CHECK(again.at("pid") == about.at("pid"));
  CHECK(again.at("arn").as_string() == "arn:aws:lambda:us-east-1:000000000000:function:f");
  CHECK(again.at("id") != about.at("id"));
}

TEST_CASE("coroutines are waited for") {
  World world;
  world.functions->define({world.python("waits")});
  CHECK(world.ok("{}").as_string() == "waited");
}

TEST_CASE("a function that throws fails, and works on") {
  World world;
  world.functions->define({world.python("work")});
  const json::value pid = world.ok("{}");
  CHECK(world.error(R"({"raise":"no"})") == "ValueError: no");
  CHECK(world.ok("{}") == pid);
}

TEST_CASE("a function that ends fails, and is started again") {
  World world;
  world.functions->define({world.python("work")});
  const json::value pid = world.ok("{}");
  const std::string error = world.error(R"({"exit":3})");
  CHECK(error.starts_with("Runtime.ExitError: RequestId: "));
  CHECK(error.ends_with("Error: Runtime exited with error: exit status 3"));
  CHECK(world.ok("{}") != pid);
  CHECK(world.error(R"({"exit":0})").ends_with("Runtime exited without providing a reason"));
}

TEST_CASE("a function that takes too long is killed") {
  World world;
  Definition definition = world.python("work");
  definition.timeout = milliseconds(1500);
  world.functions->define({definition});
  const std::int64_t pid = world.ok("{}").as_int64();
  const std::string error = world.error(R"({"sleep":1000})");
  CHECK(error.starts_with("Sandbox.Timedout: "));
  CHECK(error.ends_with("Task timed out after 1.50 seconds"));
  CHECK(world.ok("{}").as_int64() != pid);
}

TEST_CASE("who is not patient does not wait") {
  World world;
  Definition definition = world.python("work");
  definition.concurrency = 1;
  world.functions->define({definition});
  const std::int64_t pid = world.ok("{}").as_int64();
  const Result<Answer> late = world.call(R"({"sleep":2})", milliseconds(50));
  REQUIRE_FALSE(late);
  CHECK(late.error().code() == Errc::kTimeout);
  // The only process is at work still; it is neither free nor killed.
  const Result<Answer> behind = world.call("{}", milliseconds(50));
  REQUIRE_FALSE(behind);
  CHECK(behind.error().code() == Errc::kTimeout);
  CHECK(world.ok("{}").as_int64() == pid);
}

TEST_CASE("as many processes as may be, and no more") {
  World world;
  Definition definition = world.python("work");
  definition.concurrency = 3;
  world.functions->define({definition});
  std::vector<std::promise<std::string>> done(9);
  for (std::promise<std::string>& each : done) {
    Invocation invocation;
    invocation.payload = R"({"sleep":0.3})";
    world.functions->invoke("f", std::move(invocation), [&each](Result<Answer> answer) {
      each.set_value(answer ? answer->payload : answer.error().message());
    });
  }
  std::vector<std::string> pids;
  for (std::promise<std::string>& each : done) {
    pids.push_back(each.get_future().get());
  }
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  CHECK(pids.size() <= 3);
  CHECK(pids.size() >= 2);
}

TEST_CASE("payloads up to 6 MiB, and one byte more") {
  World world;
  world.functions->define({world.python("work")});
  CHECK(
      world.ok(R"({"size":)" + std::to_string(kPayloadBytesMax - 2) + "}").as_string().size() ==
      kPayloadBytesMax - 2
  );
  CHECK(world.error(R"({"size":)" + std::to_string(kPayloadBytesMax - 1) + "}")
            .starts_with("Function.ResponseSizeTooLarge"));
  world.functions->define({world.python("echo")});
  const std::string largest = '"' + std::string(kPayloadBytesMax - 2, 'x') + '"';
  CHECK(world.ok(largest).as_string().size() == kPayloadBytesMax - 2);
  const Result<Answer> over = world.call(largest + " ");
  REQUIRE_FALSE(over);
  CHECK(over.error().code() == Errc::kTooLarge);
}

TEST_CASE("memory is limited") {
  World world;
  Definition definition = world.python("work");
  definition.memory_mib = 128;
  world.functions->define({definition});
  CHECK(world.ok(R"({"allocate":1000000})") == 1'000'000);
  CHECK(world.error(R"({"allocate":200000000})").starts_with("MemoryError"));
}

TEST_CASE("a function that does not start says why, and is not tried without end") {
  World world;
  Definition definition = world.python("echo");
  const auto why = [&world](Definition changed) {
    world.functions->define({std::move(changed)});
    const Result<Answer> answer = world.call("{}");
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code() == Errc::kUnavailable);
    return answer.error().message();
  };
  definition.command = {"/no/such/program"};
  CHECK(why(definition).find("/no/such/program cannot be run: No such file") != std::string::npos);
  definition.dir = "nowhere";
  CHECK(why(definition).find("is not there") != std::string::npos);
  definition.dir = "f";
  definition.command = {"/usr/bin/python3", "-m", "iotcore_runtime", "missing.handler"};
  CHECK(why(definition).find("Runtime.ImportModuleError") != std::string::npos);
  definition.command = {"/usr/bin/python3", "-m", "iotcore_runtime", "app.missing"};
  CHECK(why(definition).find("Runtime.HandlerNotFound") != std::string::npos);
  definition.command = {"/bin/sh", "-c", "exit 5"};
  CHECK(why(definition).find("exit status 5") != std::string::npos);
  world.folder.write("app.py", "def broken(:\n");
  CHECK(why(world.python("broken")).find("Runtime.UserCodeSyntaxError") != std::string::npos);
  const Result<Answer> none = world.functions->call("other", {});
  REQUIRE_FALSE(none);
  CHECK(none.error().code() == Errc::kNotFound);
}

TEST_CASE("a new definition takes over, what is at work goes on") {
  World world;
  world.functions->define({world.python("work")});
  const std::int64_t pid = world.ok("{}").as_int64();
  world.functions->define({world.python("work")});
  CHECK(world.ok("{}").as_int64() == pid);
  std::promise<Result<Answer>> slow;
  Invocation invocation;
  invocation.payload = R"({"sleep":0.5})";
  world.functions->invoke("f", std::move(invocation), [&slow](Result<Answer> answer) {
    slow.set_value(std::move(answer));
  });
  ::usleep(200'000);
  Definition changed = world.python("work");
  changed.version = "2";
  world.functions->define({changed});
  CHECK(world.ok("{}").as_int64() != pid);
  const Result<Answer> old = slow.get_future().get();
  REQUIRE(old);
  CHECK(old->payload == std::to_string(pid));
  CHECK(goes_away(pid));
  world.functions->define({});
  const Result<Answer> none = world.call("{}");
  REQUIRE_FALSE(none);
  CHECK(none.error().code() == Errc::kNotFound);
}

TEST_CASE("nothing that a function has started outlives it") {
  World world;
  world.functions->define({world.python("work")});
  const std::int64_t child = world.ok(R"({"child":true})").as_int64();
  const std::int64_t pid = world.ok("{}").as_int64();
  CHECK(is_alive(child));
  SECTION("when it ends") {
    world.error(R"({"exit":1})");
  }
  SECTION("when the server stops") {
    world.functions->stop(seconds(1));
  }
  CHECK(goes_away(child));
  CHECK(goes_away(pid));
}

TEST_CASE("stopping waits for those at work, as long as it may") {
  World world;
  world.functions->define({world.python("work")});
  world.ok("{}");
  std::promise<Result<Answer>> slow;
  const auto begin = [&](const char* payload) {
    Invocation invocation;
    invocation.payload = payload;
    world.functions->invoke("f", std::move(invocation), [&slow](Result<Answer> answer) {
      slow.set_value(std::move(answer));
    });
  };
  SECTION("long enough") {
    begin(R"({"sleep":0.3})");
    world.functions->stop(seconds(20));
    CHECK(slow.get_future().get().has_value());
  }
  SECTION("not long enough") {
    begin(R"({"sleep":1000})");
    world.functions->stop(milliseconds(100));
    const Result<Answer> answer = slow.get_future().get();
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code() == Errc::kUnavailable);
  }
}

TEST_CASE("where namespaces can be had, a function sees neither the network nor the hidden folder"
) {
  World world;
  Site site;
  site.base = world.folder.path();
  site.hidden = world.folder.path();
  site.runtimes = std::filesystem::path(IOTCORE_SOURCE_DIR) / "deploy/functions";
  site.start_time_max = seconds(60);
  site.user = "root";
  site.must_isolate = true;
  world.functions = std::make_unique<Functions>(site, world.clock, world.metrics);
  const Result<net::UniqueFd> listener = net::listen_on({"127.0.0.1", 0}, 8);
  REQUIRE(listener);
  const std::string connect =
      R"({"connect":)" + std::to_string(net::local_port(listener->get())) + "}";
  const std::string list = R"({"list":")" + world.folder.path().string() + R"("})";
  world.functions->define({world.python("work")});
  const Result<Answer> first = world.call(connect);
  if (!first) {
    WARN("no namespaces here: " << first.error().message());
    return;
  }
  CHECK(first->payload == "false");
  CHECK(to_json(world.ok(list)) == "[]");
  Definition open = world.python("work");
  open.network = true;
  world.functions->define({open});
  CHECK(to_json(world.ok(connect)) == "true");
}

}  // namespace iotcore::functions
