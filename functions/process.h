#pragma once

#include "base/result.h"
#include "functions/launcher.h"
#include "net/socket.h"

#include <filesystem>
#include <map>
#include <string>
#include <sys/types.h>

namespace iotcore::functions {

// A launcher that runs, and with it the function's process: ended with this.
class Process {
 public:
  static Result<Process> start(
      const std::filesystem::path& launcher,
      const Launch& launch,
      const std::map<std::string, std::string>& environment
  );

  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;
  ~Process();

  int channel() const { return channel_.get(); }

  int output() const { return output_.get(); }

  pid_t pid() const { return pid_; }

  // The function and all that it has started are killed, soon; the channel ends when they are.
  void kill();

 private:
  Process(pid_t pid, net::UniqueFd channel, net::UniqueFd output);

  pid_t pid_;
  net::UniqueFd channel_;
  net::UniqueFd output_;  // what the function writes to its standard output and error
};

}  // namespace iotcore::functions
