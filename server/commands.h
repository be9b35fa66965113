#pragma once

#include "base/result.h"
#include "server/config.h"

#include <filesystem>
#include <string>
#include <vector>

// The subcommands other than `serve`. Each prints to standard output; an error is for standard error.
namespace iotcore::server {

struct ThingCreateOptions {
  std::string name;
  std::filesystem::path out;
  std::filesystem::path data_dir;
  std::string policy;  // empty: "iotcore-device", made if it is not there
};

// A thing with keys, a certificate and a policy; files for the device in `out`.
Status create_thing(const ThingCreateOptions& options);

// `rule check`, `rule test` and `rule apply`, which need no running server; a running one takes up what was applied. Print their report; false if
// something is wrong.
bool check_rules(const Config& config, const std::vector<std::filesystem::path>& files);
bool apply_rules(const Config& config, const std::vector<std::filesystem::path>& files);

struct RuleTestOptions {
  std::filesystem::path file;
  std::string topic;  // empty: the file's own tests
  std::string payload;
};

bool test_rules(const Config& config, const RuleTestOptions& options);

// Looks at what commonly goes wrong and says what to do. True if nothing is in the way.
bool run_doctor(const Config& config);

// Asks the server that runs on data_dir whether it is ready: for the health checks of containers. False if it is not, or does not answer.
bool print_health(const Config& config);

}  // namespace iotcore::server
