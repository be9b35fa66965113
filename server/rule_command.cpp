#include "base/files.h"
#include "rules/rule_check.h"
#include "rules/rule_file.h"
#include "server/api_client.h"
#include "server/commands.h"
#include "server/config_targets.h"

#include <chrono>
#include <cstdio>
#include <thread>

namespace iotcore::server {
namespace {

// What rule files are checked against.
class CheckEnvironment {
 public:
  explicit CheckEnvironment(const Config& config) {
    environment_.folder = config.data_dir / "sinks";
    environment_.allow_absolute_paths = config.rules_allow_absolute_paths;
    environment_.targets = &targets_;
    environment_.roles = config.rules_roles;
  }

  // The targets of the configuration; says what is wrong with them.
  bool add_targets(const Config& config) {
    std::vector<rules::Target> targets;
    for (rules::Target& target : targets_of(config)) {
      const std::string name = target.name;
      auto checked = rules::check_target(std::move(target));
      if (!checked) {
        const std::string why = rules::to_error(checked.error()).message();
        std::fprintf(stderr, "[targets.%s]: %s\n", name.c_str(), why.c_str());
        return false;
      }
      targets.push_back(std::move(*checked));
    }
    ignore_error(targets_.replace("", std::move(targets)), "there are no others");
    return true;
  }

  const rules::SinkEnvironment& get() const { return environment_; }

 private:
  rules::Targets targets_;
  rules::SinkEnvironment environment_;
};

bool print(const rules::CheckReport& report) {
  std::fputs(report.text.c_str(), report.ok ? stdout : stderr);
  return report.ok;
}

// Whether the server runs that very rule.
bool is_live(const ApiClient& api, const rules::RuleDefinition& rule) {
  const auto answer = api.call("GET", "/rules/" + net::percent_encode(rule.name));
  if (!answer || !answer->is_object()) {
    return false;
  }
  const json::value* live = find_member(answer->get_object(), "rule");
  if (live == nullptr || !live->is_object()) {
    return false;
  }
  const json::value* sql = find_member(live->get_object(), "sql");
  const json::value* actions = find_member(live->get_object(), "actions");
  return sql != nullptr && sql->is_string() && std::string(sql->get_string()) == rule.sql &&
         actions != nullptr && *actions == json::value(rule.actions);
}

// A running server looks at its folder once a second.
bool wait_until_live(const ApiClient& api, const rules::RuleDefinition& rule) {
  for (int i = 0; i < 200; ++i) {
    if (is_live(api, rule)) {
      std::printf("rule %s is live\n", rule.name.c_str());
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  std::fprintf(
      stderr,
      "rule %s was applied, but the server has not taken it up; see its log\n",
      rule.name.c_str()
  );
  return false;
}

}  // namespace

bool check_rules(const Config& config, const std::vector<std::filesystem::path>& files) {
  CheckEnvironment environment(config);
  return environment.add_targets(config) && print(rules::check_files(files, environment.get()));
}

bool test_rules(const Config& config, const RuleTestOptions& options) {
  CheckEnvironment environment(config);
  if (!environment.add_targets(config)) {
    return false;
  }
  std::optional<rules::TestMessage> message;
  if (!options.topic.empty()) {
    message.emplace();
    message->topic = options.topic;
    message->payload = options.payload;
  }
  return print(rules::test_file(options.file, message, environment.get()));
}

bool apply_rules(const Config& config, const std::vector<std::filesystem::path>& files) {
  CheckEnvironment environment(config);
  if (!environment.add_targets(config) ||
      !print(rules::apply_files(files, config.rules_dir, environment.get()))) {
    return false;
  }
  const auto api = ApiClient::open(config.data_dir);
  if (!api) {
    std::printf(
        "no server runs on %s: the rules take effect when it starts\n", config.data_dir.c_str()
    );
    return true;
  }
  bool all_live = true;
  for (const std::filesystem::path& file : files) {
    const Result<std::string> text = read_file(file);
    if (!text) {
      continue;
    }
    for (const rules::FileRule& rule : rules::parse_rule_file(*text).file.rules) {
      all_live = wait_until_live(*api, rule.definition) && all_live;
    }
  }
  return all_live;
}

}  // namespace iotcore::server
