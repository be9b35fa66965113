#include "rules/functions/local_functions.h"

#include "base/log.h"
#include "rules/member_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace iotcore::rules {
namespace {

constexpr std::string_view kPython = "python";
constexpr std::string_view kNode = "nodejs";

// What the server sets itself.
bool is_reserved(std::string_view variable) {
  static constexpr auto kNames = std::to_array<std::string_view>(
      {"_HANDLER", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_REGION", "AWS_DEFAULT_REGION"}
  );
  return variable.starts_with("AWS_LAMBDA_") || std::ranges::find(kNames, variable) != kNames.end();
}

std::vector<std::string> read_command(MemberReader& options) {
  std::vector<std::string> command;
  const json::array* words = options.optional_array("command");
  for (std::size_t i = 0; words != nullptr && i < words->size(); ++i) {
    if (!(*words)[i].is_string() || (*words)[i].get_string().empty()) {
      options.fail_member("command", "must be a list of words");
      return {};
    }
    command.emplace_back((*words)[i].get_string());
  }
  if (words != nullptr && command.empty()) {
    options.fail_member("command", "must not be empty");
  }
  return command;
}

std::map<std::string, std::string> read_environment(MemberReader& options) {
  std::map<std::string, std::string> variables;
  const json::object* members = options.optional_object("env");
  if (members == nullptr) {
    return variables;
  }
  MemberReader reader = options.inner(*members, options.pointer_to("env"));
  for (const auto& member : *members) {
    const std::string_view name = member.key();  // the reader keeps it
    reader.optional_text_or_secret(name);
    if (name.empty() || name.find_first_of(std::string_view("=\0", 2)) != std::string::npos) {
      reader.fail_member(name, "is not the name of a variable");
    } else if (is_reserved(name)) {
      reader.fail_member(name, "is set by the server");
    } else if (member.value().is_string()) {
      variables[std::string(name)] = std::string(member.value().get_string());
    }
  }
  options.take_error(reader);
  return variables;
}

// The program that a runtime stands for.
std::vector<std::string> command_of(std::string_view runtime, const std::string& handler) {
  if (runtime == kPython) {
    return {"python3", "-m", "iotcore_runtime", handler};
  }
  return {"node", "${LAMBDA_RUNTIME_DIR}/nodejs/iotcore-runtime", handler};
}

}  // namespace

functions::Definition read_function(MemberReader& options) {
  static constexpr auto kRuntimes = std::to_array<std::string_view>({kPython, kNode});
  functions::Definition read;
  const std::string runtime = options.choice("runtime", kRuntimes, "");
  read.handler = options.optional_text("handler").value_or("");
  read.command = read_command(options);
  if (options.has("command") == !runtime.empty()) {
    options.fail_at(options.pointer(), "needs one of runtime and command");
  } else if (!runtime.empty() && read.handler.find('.') == std::string::npos) {
    options.fail_member("handler", "is needed with a runtime, as 'app.handler'");
  } else if (!runtime.empty()) {
    read.command = command_of(runtime, read.handler);
  }
  if (read.handler.empty() && !read.command.empty()) {
    read.handler = read.command.back();
  }
  read.dir = options.text("dir");
  read.version = options.optional_text("version").value_or(read.version);
  constexpr std::int64_t kTimeoutMax = 900;
  if (const auto seconds = options.optional_integer("timeout", 1, kTimeoutMax)) {
    read.timeout = std::chrono::seconds(*seconds);
  }
  constexpr std::int64_t kMemoryMin = 64;
  constexpr std::int64_t kMemoryMax = 10'240;
  if (const auto memory = options.optional_integer("memory", kMemoryMin, kMemoryMax)) {
    read.memory_mib = static_cast<std::uint32_t>(*memory);
  }
  constexpr std::int64_t kConcurrencyMax = 1000;
  if (const auto most = options.optional_integer("concurrency", 1, kConcurrencyMax)) {
    read.concurrency = static_cast<std::uint32_t>(*most);
  }
  read.environment = read_environment(options);
  read.network = options.optional_boolean("network").value_or(false);
  return read;
}

bool LocalFunctions::has(std::string_view name) const {
  const TargetRef target = targets_.find(name);
  return target != nullptr && target->kind == FunctionTarget::kName;
}

void LocalFunctions::follow_targets() {
  if (followed_.load() == targets_.version()) {
    return;
  }
  const std::lock_guard lock(mutex_);
  const std::uint64_t version = targets_.version();
  if (followed_.load() == version) {
    return;
  }
  std::vector<functions::Definition> definitions;
  for (const TargetRef& target : targets_.list()) {
    if (target->kind != FunctionTarget::kName) {
      continue;
    }
    const Result<json::object> options = targets_.open_secrets(*target);
    if (!options) {
      log(LogLevel::kWarn,
          "function.not_defined",
          {{"function", target->name}, {"error", options.error().message()}});
      continue;
    }
    MemberReader reader(*options, "", nullptr);
    definitions.push_back(read_function(reader));
    definitions.back().name = target->name;
  }
  functions_.define(std::move(definitions));
  followed_ = version;
}

void LocalFunctions::invoke(
    std::string_view name, functions::Invocation invocation, functions::OnAnswer done
) {
  follow_targets();
  functions_.invoke(name, std::move(invocation), std::move(done));
}

Result<functions::Answer> LocalFunctions::call(
    std::string_view name, functions::Invocation invocation
) {
  follow_targets();
  return functions_.call(name, std::move(invocation));
}

}  // namespace iotcore::rules
