#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::functions {

// A local function: a program that asks the Lambda Runtime API for events, and how it is to be run.
struct Definition {
  std::string name;
  std::vector<std::string> command;
  std::filesystem::path dir;  // where it runs: LAMBDA_TASK_ROOT
  std::string handler;        // _HANDLER; may be empty
  std::string version = "$LATEST";
  std::chrono::milliseconds timeout = std::chrono::seconds(3);  // of one invocation
  std::uint32_t memory_mib = 256;                               // of one process
  std::uint32_t concurrency = 4;                                // processes at once
  std::map<std::string, std::string> environment;
  bool network = false;  // more than its own loopback

  bool operator==(const Definition&) const = default;
};

// AWS's limits on what goes in and comes out.
constexpr std::size_t kPayloadBytesMax = 6U << 20;
constexpr std::size_t kEventBytesMax = 256U << 10;  // of asynchronous invocations

// "NAME", "NAME:VERSION", "ACCOUNT:function:NAME[:VERSION]" or the ARN of a function.
struct FunctionName {
  std::string name;
  std::string qualifier;  // version or alias; empty: none is named
};

// Nothing in `name`: it is no function's name.
FunctionName parse_function_name(std::string_view text);

}  // namespace iotcore::functions
