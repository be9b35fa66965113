#pragma once

#include "net/client_channel.h"
#include "rules/actions/target_options.h"
#include "rules/sink.h"
#include "rules/targets.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace iotcore::rules::actions {

// A target of kind `syslog`: a log server that speaks RFC 5424 over TCP or TLS.
struct SyslogOptions {
  ServerOptions server;
  std::int64_t facility = 0;
  std::chrono::milliseconds timeout{0};
};

SyslogOptions read_syslog(MemberReader& members);

// cloudwatchLogs as messages, each with its length before it (RFC 6587): the log group is the MSGID. Nobody answers, so what was on its way when the
// connection broke may be lost.
Result<std::unique_ptr<Sink>> make_syslog(
    const TargetRef& target, const SinkEnvironment& environment
);

}  // namespace iotcore::rules::actions
