#include "server/config_rules.h"

#include "net/address_range.h"
#include "server/config_targets.h"

namespace iotcore::server {

Result<rules::EngineOptions> engine_options(const Config& config) {
  rules::EngineOptions options;
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
