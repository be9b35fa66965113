#include "server/config_rules.h"

#include "net/address_range.h"
#include "server/config_targets.h"

namespace iotcore::server {

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
  options.queues.messages_max = config.rules_queue_messages_max;
  options.confirm_destinations = config.http_confirmation == "required";
  if (!config.http_allow.empty()) {
    IOTCORE_ASSIGN(options.http.allowed, net::parse_address_ranges(config.http_allow));
  }
  return options;
}

}  // namespace iotcore::server
