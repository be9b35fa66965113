#pragma once

#include "base/result.h"
#include "net/http_caller.h"
#include "proto/record/rules.pb.h"
#include "rules/targets.h"

#include <string>

namespace iotcore::rules {

// What a rule destination of kind influxdb stands for, with its secret opened.
struct InfluxAccess {
  std::string endpoint;  // a URL without a slash at its end
  std::string version;   // "2" or "3"
  std::string token;
};

// kInvalidRequest: what was given cannot be one.
Status check_influx_destination(const record::RuleDestination& destination);

// Blocks. kNotFound: the secret, or the member of it.
Result<InfluxAccess> open_influx_destination(
    const record::RuleDestination& destination, const SecretSource* secrets
);

// Whether InfluxDB is there and takes the token. Blocks.
Status try_influx_destination(const InfluxAccess& access, const net::HttpRules& rules);

}  // namespace iotcore::rules
