#pragma once

#include "rules/actions/target_options.h"
#include "rules/sink.h"
#include "rules/targets.h"

#include <memory>
#include <string>

// Actions of AWS's at services that take JSON by POST: targets of the kinds `alertmanager`, `loki` and `http`.
namespace iotcore::rules::actions {

// `endpoint`, TLS, `timeout`; and who signs in: `user` and `password`, or `token`.
struct PostOptions {
  HttpOptions http;
  std::string user;
  std::string password;
  std::string token;
  std::string tenant;  // of Loki
};

PostOptions read_post(MemberReader& members);

// cloudwatchAlarm as alerts of Prometheus' Alertmanager: one that is not in the state ALARM has ended.
Result<std::unique_ptr<Sink>> make_alertmanager(
    const TargetRef& target, const SinkEnvironment& environment
);
// cloudwatchLogs as lines of Loki, in the stream {log_group="…"}.
Result<std::unique_ptr<Sink>> make_loki(
    const TargetRef& target, const SinkEnvironment& environment
);
// iotEvents: each message by itself, to `endpoint`/<input>.
Result<std::unique_ptr<Sink>> make_http_inputs(
    const TargetRef& target, const SinkEnvironment& environment
);

}  // namespace iotcore::rules::actions
