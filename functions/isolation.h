#pragma once

#include "base/result.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace iotcore::functions {

struct Launch;

// Whom a process becomes.
struct UserId {
  std::uint32_t user = 0;
  std::uint32_t group = 0;
};

// Where the function will find itself.
struct Place {
  std::filesystem::path task_root;
  std::filesystem::path runtimes;
  std::optional<UserId> user;  // nothing: the server's
  std::string missing;         // of the isolation that was meant; empty: nothing
};

// Puts this process, which has one thread, into namespaces of its own as far as the system lets it: without a network, without sight of the hidden
// folder. An error: the launch cannot be, or must not be without.
Result<Place> isolate(const Launch& launch);

// What every function's process is held to. `own_user`: it shares its user with no others but functions.
void set_limits(std::uint64_t memory_bytes, bool own_user);

Status become_user(const Place& place);

}  // namespace iotcore::functions
