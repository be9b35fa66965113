#pragma once

#include "server/commands.h"

#include <CLI/CLI.hpp>

#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

namespace iotcore::server {

// The subcommands of who looks after a running server: `sinks`, `dead-letters`, `secret`, `client trace`, and of `rule`: `fmt`, `trace`, `export`, `import`.
class OperatorCommands {
 public:
  // `add_config` adds the options by which a command finds its server.
  OperatorCommands(CLI::App& cli, CLI::App& rule, const std::function<void(CLI::App&)>& add_config);
  OperatorCommands(const OperatorCommands&) = delete;
  OperatorCommands& operator=(const OperatorCommands&) = delete;

  // Nothing: the command line names none of them.
  std::optional<Status> run(const Config& config);

 private:
  void add_dead_letters(CLI::App& cli, const std::function<void(CLI::App&)>& add_config);
  void add_secrets(CLI::App& cli, const std::function<void(CLI::App&)>& add_config);
  std::optional<Status> run_rule();
  std::optional<Status> run_dead_letters();
  std::optional<Status> run_secrets();

  std::vector<std::filesystem::path> files_;
  RuleTransferOptions transfer_;
  TraceOptions trace_;
  ClientTraceOptions client_trace_;
  DeadLetterOptions letters_;
  SecretOptions secret_;
  CLI::App* format_ = nullptr;
  CLI::App* functions_ = nullptr;
  CLI::App* trace_command_ = nullptr;
  CLI::App* client_trace_command_ = nullptr;
  CLI::App* export_ = nullptr;
  CLI::App* import_ = nullptr;
  CLI::App* sinks_ = nullptr;
  CLI::App* letters_list_ = nullptr;
  CLI::App* letters_show_ = nullptr;
  CLI::App* letters_retry_ = nullptr;
  CLI::App* letters_drop_ = nullptr;
  CLI::App* secret_put_ = nullptr;
  CLI::App* secret_list_ = nullptr;
  CLI::App* secret_delete_ = nullptr;
};

}  // namespace iotcore::server
