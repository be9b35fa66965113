#include "server/config_rules.h"

#include "base/log.h"
#include "net/address_range.h"
#include "server/config_targets.h"

namespace iotcore::server {

net::HttpRules outbound_rules(const Config& config) {
  net::HttpRules rules;
  rules.allowed = net::parse_address_ranges(config.http_allow).value();  // its key has checked it
  return rules;
}

Result<rules::EngineOptions> engine_options(const Config& config, const DataDir& data) {
  rules::EngineOptions options;
  options.sink_folder = data.sinks();
  options.descriptor_folders = {data.path() / "descriptors", data.sinks() / "objects"};
  options.strict = config.mqtt_profile == Profile::kStrict;
  options.disk_folder = data.path();
  options.disk_free_min_percent = config.rules_disk_free_min_percent;
  options.allow_absolute_paths = config.rules_allow_absolute_paths;
  options.sink_queue_bytes_max = config.rules_outbox_bytes_max;
  options.targets = targets_of(config);
  options.files_win = config.rules_files_win;
  options.roles = config.rules_roles;
  options.compile.strict = options.strict;
  options.compile.strict_undefined = config.rules_logic == "strict-undefined";
  options.compile.exact_int_division = config.rules_int_division == "exact";
  options.rules_max = config.rules_max;
  options.limits.steps_max = config.rules_steps_max;
  options.limits.result_bytes_max = config.rules_result_bytes_max;
  options.queues.messages_max = config.rules_queue_messages_max;
  options.confirm_destinations = config.http_confirmation == "required";
  options.http = outbound_rules(config);
  return options;
}

void take_targets(Config& running, const Config& read, rules::Engine& engine) {
  if (read.targets != running.targets) {
    if (const Status taken = engine.set_targets(targets_of(read)); taken) {
      running.targets = read.targets;
      log(LogLevel::kInfo, "config.targets_changed");
    } else {
      log(LogLevel::kError, "config.targets_not_changed", {{"error", taken.error().message()}});
    }
  }
  // Files of secrets.dir may have been written.
  engine.catalog().secrets_changed();
}

}  // namespace iotcore::server
