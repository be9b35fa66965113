#pragma once

#include "base/result.h"
#include "server/config.h"

#include <filesystem>
#include <memory>
#include <string>

namespace iotcore::server {

// The server: everything made, wired and started in order, and stopped in reverse.
class App {
 public:
  // `ready_file` may be empty. Errors say which setting or file is in the way.
  static Result<std::unique_ptr<App>> start(Config config, std::filesystem::path ready_file);
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  // Lets connections end in good order for drain_ms, then stops. Called once.
  void stop();

  // SIGHUP: takes over what may change without a restart, the server certificate and some keys of the configuration, which was read again; says in
  // the log what did, and what only a start takes over.
  void reload(const Result<Config>& read);
  // Once a second: notices a new server certificate by itself.
  void poll();

  // What to say to the one who started it: addresses, files, the first commands.
  std::string greeting() const;

 private:
  struct Parts;
  explicit App(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace iotcore::server
