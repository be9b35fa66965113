#include "functions/launcher.h"
#include "server/app.h"
#include "server/commands.h"
#include "server/config.h"
#include "server/operator_commands.h"

#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string_view>
#include <unistd.h>
#include <vector>

extern char** environ;

namespace {

using iotcore::server::App;
using iotcore::server::Config;
using iotcore::server::ConfigSources;

constexpr int kConfigurationError = 2;

std::map<std::string, std::string> read_environment() {
  std::map<std::string, std::string> all;
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string_view entry = *each;
    const std::size_t equals = entry.find('=');
    if (equals != std::string_view::npos) {
      all.emplace(entry.substr(0, equals), entry.substr(equals + 1));
    }
  }
  return all;
}

int report(const iotcore::Error& error, int exit_code) {
  std::fprintf(stderr, "iotcore: %s\n", error.message().c_str());
  return exit_code;
}

int serve(const Config& config, const ConfigSources& sources, const std::string& ready_file) {
  // Taken by sigtimedwait below; threads inherit the mask.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  iotcore::configure_log(config.log_level, config.log_format);
  auto app = App::start(config, ready_file);
  if (!app) {
    return report(app.error(), 1);
  }
  std::fputs((*app)->greeting().c_str(), stdout);
  std::fflush(stdout);
  constexpr timespec kPollEvery = {1, 0};
  for (int received = 0; received != SIGTERM && received != SIGINT;) {
    received = sigtimedwait(&signals, nullptr, &kPollEvery);
    if (received == SIGHUP) {
      (*app)->reload(iotcore::server::load_config(sources));
    } else if (received < 0) {
      (*app)->poll();
    }
  }
  // A second signal does not wait for anybody.
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  const auto exit_at_once = [](int) { _exit(1); };
  std::signal(SIGTERM, exit_at_once);
  std::signal(SIGINT, exit_at_once);
  (*app)->stop();
  return 0;
}

struct Arguments {
  ConfigSources sources;
  std::string ready_file;
  iotcore::server::ThingCreateOptions thing;
  std::vector<std::filesystem::path> rule_files;
  iotcore::server::RuleTestOptions rule_test;
  iotcore::server::KeyOptions key;
  std::string backup_name;
  std::filesystem::path backup_path;
  iotcore::server::TopOptions top;
  bool intermediate_only = false;
  std::filesystem::path import_file;
};

void add_config_options(CLI::App& command, Arguments& arguments) {
  command.add_option("--config", arguments.sources.file, "configuration file (TOML)");
  command.add_option(
      "--data-dir", arguments.sources.data_dir, "folder of everything that the server keeps"
  );
  command.add_option("--set", arguments.sources.overrides, "one configuration key, as key=value")
      ->allow_extra_args(false);
  command.add_flag(
      "--dev",
      arguments.sources.dev,
      "adds plain MQTT and HTTP on loopback, where anybody may do everything"
  );
}

// `iotcore keys …`.
struct KeyCommands {
  KeyCommands(CLI::App& cli, Arguments& arguments)
      : all(cli.add_subcommand("keys", "Access keys of operators")) {
    all->require_subcommand(1);
    create = all->add_subcommand("create", "Make a key, for a new user or one that is there");
    create->add_option("--user", arguments.key.user, "name of the user")->required();
    create->add_option("--role", arguments.key.role, "of a new user: what it may do by itself")
        ->check(CLI::IsMember({"administrator", "read-only", "none"}));
    create->add_option("--policy", arguments.key.policies, "policy to attach to the user");
    list = all->add_subcommand("list", "List keys, without their secrets");
    list->add_option("--user", arguments.key.user, "of this user only");
    rotate = all->add_subcommand("rotate", "Make a new key for the user of a key");
    rotate->add_option("id", arguments.key.id, "access key id")->required();
    revoke = all->add_subcommand("revoke", "Delete a key");
    revoke->add_option("id", arguments.key.id, "access key id")->required();
    for (CLI::App* command : {create, list, rotate, revoke}) {
      add_config_options(*command, arguments);
    }
  }

  int run(const iotcore::server::KeyOptions& options) const {
    const auto done = *create   ? iotcore::server::create_key(options)
                      : *list   ? iotcore::server::list_keys(options)
                      : *rotate ? iotcore::server::rotate_key(options)
                                : iotcore::server::revoke_key(options);
    return done ? 0 : report(done.error(), 1);
  }

  CLI::App* all;
  CLI::App* create = nullptr;
  CLI::App* list = nullptr;
  CLI::App* rotate = nullptr;
  CLI::App* revoke = nullptr;
};

}  // namespace

int main(int argc, char** argv) {
  // Not for people: the server starts its functions so.
  if (argc > 1 && argv[1] == iotcore::functions::kLauncherCommand) {
    const std::vector<std::string_view> arguments(argv + 2, argv + argc);
    return iotcore::functions::run_launcher(arguments);
  }
  CLI::App cli(
      "A self-hosted IoT core: MQTT, rules, shadows and the AWS IoT API on your own machine.",
      "iotcore"
  );
  cli.require_subcommand(1);
  Arguments arguments;

  CLI::App* serve_command = cli.add_subcommand("serve", "Start the server");
  add_config_options(*serve_command, arguments);
  serve_command->add_option(
      "--ready-file", arguments.ready_file, "written when every listener accepts"
  );

  CLI::App* thing_command = cli.add_subcommand("thing", "Devices of a running server");
  thing_command->require_subcommand(1);
  CLI::App* thing_create =
      thing_command->add_subcommand("create", "Make a thing with keys, certificate and policy");
  thing_create->add_option("name", arguments.thing.name, "name of the thing")->required();
  thing_create->add_option("--out", arguments.thing.out, "folder for the device's files")
      ->required();
  thing_create->add_option(
      "--policy", arguments.thing.policy, "policy to attach instead of iotcore-device"
  );
  add_config_options(*thing_create, arguments);

  const KeyCommands key_commands(cli, arguments);

  CLI::App* ca_command = cli.add_subcommand("ca", "The CA of this installation");
  ca_command->require_subcommand(1);
  CLI::App* ca_rotate = ca_command->add_subcommand("rotate", "Make a new root and intermediate CA");
  ca_rotate->add_flag(
      "--intermediate", arguments.intermediate_only, "the intermediate only, under the same root"
  );
  add_config_options(*ca_rotate, arguments);

  CLI::App* rule_command = cli.add_subcommand("rule", "Rule files");
  rule_command->require_subcommand(1);
  CLI::App* rule_check =
      rule_command->add_subcommand("check", "Look for errors in rule files and run their tests");
  rule_check->add_option("files", arguments.rule_files, "rule files (.sql)")->required();
  add_config_options(*rule_check, arguments);
  CLI::App* rule_apply =
      rule_command->add_subcommand("apply", "Check rule files and put them in force");
  rule_apply->add_option("files", arguments.rule_files, "rule files (.sql)")->required();
  add_config_options(*rule_apply, arguments);
  CLI::App* rule_test =
      rule_command->add_subcommand("test", "Run the tests of a rule file, or one message of yours");
  rule_test->add_option("file", arguments.rule_test.file, "rule file (.sql)")->required();
  rule_test->add_option("--topic", arguments.rule_test.topic, "topic of the message");
  rule_test->add_option("--payload", arguments.rule_test.payload, "payload of the message");
  add_config_options(*rule_test, arguments);

  CLI::App* backup_command =
      cli.add_subcommand("backup", "Copy a running server's data, for restore");
  backup_command->add_option("name", arguments.backup_name, "name of the copy; without: the time");
  add_config_options(*backup_command, arguments);
  CLI::App* restore_command =
      cli.add_subcommand("restore", "Make a data folder of what backup has made");
  restore_command->add_option("backup", arguments.backup_path, "folder of the copy")->required();
  add_config_options(*restore_command, arguments);

  iotcore::server::OperatorCommands operator_commands(
      cli,
      *rule_command,
      [&arguments](CLI::App& command) { add_config_options(command, arguments); }
  );

  CLI::App* config_command = cli.add_subcommand("config", "The configuration");
  config_command->require_subcommand(1);
  CLI::App* config_print =
      config_command->add_subcommand("print", "Print every key as it is in force");
  add_config_options(*config_print, arguments);

  CLI::App* import_command =
      cli.add_subcommand("import", "Take things with their certificates into a running server");
  import_command
      ->add_option("file", arguments.import_file, "one JSON object a line; - is standard input")
      ->required();
  add_config_options(*import_command, arguments);

  CLI::App* api_command = cli.add_subcommand("api", "Print the operations of the API (Markdown)");

  CLI::App* doctor_command = cli.add_subcommand("doctor", "Look for what commonly goes wrong");
  add_config_options(*doctor_command, arguments);

  CLI::App* top_command =
      cli.add_subcommand("top", "Watch connections, rates, rules and sinks of a running server");
  top_command->add_option("--interval", arguments.top.interval_s, "seconds between two looks")
      ->check(CLI::Range(0.1, 3600.0));
  top_command->add_option("--count", arguments.top.count, "looks to take; 0: until interrupted");
  add_config_options(*top_command, arguments);

  CLI::App* health_command =
      cli.add_subcommand("health", "Ask a running server whether it is ready");
  add_config_options(*health_command, arguments);

  CLI11_PARSE(cli, argc, argv);

  if (*api_command) {
    const auto printed = iotcore::server::print_api();
    return printed ? 0 : report(printed.error(), 1);
  }
  arguments.sources.environment = read_environment();
  auto config = iotcore::server::load_config(arguments.sources);
  if (!config) {
    return report(config.error(), kConfigurationError);
  }
  if (*serve_command) {
    return serve(*config, arguments.sources, arguments.ready_file);
  }
  if (*thing_create) {
    arguments.thing.data_dir = config->data_dir;
    const auto made = iotcore::server::create_thing(arguments.thing);
    return made ? 0 : report(made.error(), 1);
  }
  if (*ca_rotate) {
    const auto rotated = iotcore::server::rotate_ca(*config, arguments.intermediate_only);
    return rotated ? 0 : report(rotated.error(), 1);
  }
  if (*key_commands.all) {
    arguments.key.data_dir = config->data_dir;
    return key_commands.run(arguments.key);
  }
  if (*backup_command || *restore_command) {
    const auto done = *backup_command
                          ? iotcore::server::make_backup(config->data_dir, arguments.backup_name)
                          : iotcore::server::restore(arguments.backup_path, config->data_dir);
    return done ? 0 : report(done.error(), 1);
  }
  if (*import_command) {
    const auto imported = iotcore::server::import_things({config->data_dir, arguments.import_file});
    return imported ? 0 : report(imported.error(), 1);
  }
  if (const auto done = operator_commands.run(*config)) {
    return *done ? 0 : report(done->error(), 1);
  }
  if (*rule_check) {
    return iotcore::server::check_rules(*config, arguments.rule_files) ? 0 : 1;
  }
  if (*rule_apply) {
    return iotcore::server::apply_rules(*config, arguments.rule_files) ? 0 : 1;
  }
  if (*rule_test) {
    return iotcore::server::test_rules(*config, arguments.rule_test) ? 0 : 1;
  }
  if (*config_print) {
    std::fputs(iotcore::server::print_config(*config).c_str(), stdout);
    return 0;
  }
  if (*top_command) {
    const auto ended = iotcore::server::run_top(*config, arguments.top);
    return ended ? 0 : report(ended.error(), 1);
  }
  if (*health_command) {
    return iotcore::server::print_health(*config) ? 0 : 1;
  }
  return iotcore::server::run_doctor(*config) ? 0 : 1;
}
