#pragma once

#include "functions/definition.h"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>

namespace iotcore::functions {

// What holds for all functions of a server.
struct Site {
  std::filesystem::path launcher =
      "/proc/self/exe";            // the program that understands kLauncherCommand
  std::filesystem::path base;      // of functions' relative folders; absolute itself
  std::filesystem::path hidden;    // a folder that no function shall see; empty: none
  std::filesystem::path runtimes;  // of the runtime clients that come with the server; empty: none
  std::string user = "nobody";     // whom functions run as where the server is root
  bool must_isolate = false;       // functions.require_isolation
  std::string region = "us-east-1";
  std::string account = "000000000000";
  std::chrono::milliseconds start_time_max = std::chrono::seconds(10);  // AWS's, of the init phase
  std::chrono::milliseconds idle_time_max = std::chrono::minutes(10);
  std::size_t waiting_max = 1000;  // invocations of one function
  std::size_t waiting_bytes_max = 64U << 20;
};

}  // namespace iotcore::functions
