#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// What stands between the server and a function's process: `iotcore run-function …`, started by the server with a channel to it. It sets up
// limits and namespaces, opens the listener of the Runtime API where the function can reach it, starts the function, and ends it with all that
// it has started when the function's process ends or the server closes the channel or is gone, however it went.
namespace iotcore::functions {

inline constexpr std::string_view kLauncherCommand = "run-function";
inline constexpr int kChannel = 3;  // the launcher's end of the channel (net/local_socket.h)

// How a function's process is to be run.
struct Launch {
  std::vector<std::string>
      command;  // ${LAMBDA_TASK_ROOT} and ${LAMBDA_RUNTIME_DIR} in it are replaced
  std::filesystem::path dir;
  std::filesystem::path runtimes;  // of the runtime clients that come with the server
  std::filesystem::path hidden;    // a folder that it shall not see; empty: none
  std::string user;                // empty: as the server
  std::uint64_t memory_bytes = 0;
  bool network = false;
  bool must_isolate = false;  // rather not at all than without namespaces
};

// The arguments behind kLauncherCommand, and back.
std::vector<std::string> to_arguments(const Launch& launch);
Result<Launch> parse_arguments(std::span<const std::string_view> arguments);

// What it tells the server.
enum class LauncherWord : char {
  kListener = 'L',  // with the listener; its text: what could not be set up, empty if all could
  kFailed = 'F',    // the function can't be started: why
  kExited = 'X',    // the function's process ended: "exit status 1", "signal: killed"
};

// In the launcher's process: all it does. Returns the exit code.
int run_launcher(std::span<const std::string_view> arguments);

}  // namespace iotcore::functions
