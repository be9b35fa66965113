#pragma once

#include "base/clock.h"
#include "base/executor.h"
#include "base/result.h"
#include "net/http_caller.h"
#include "proto/record/rules.pb.h"
#include "rules/influx_destination.h"
#include "rules/targets.h"
#include "store/store.h"

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

// Where http actions may send to: URLs whose owner has confirmed that he wants it; and InfluxDB, which confirms by taking the token. Any thread; changes block
// and are durable when the call returns.
//
// IN_PROGRESS  --confirmed-->  ENABLED  <-->  DISABLED;  IN_PROGRESS  --3 days, or InfluxDB has refused-->  ERROR
class Destinations {
 public:
  struct Options {
    std::string arn_prefix;               // "arn:aws:iot:<region>:<account>:"
    bool confirmation_required = true;    // http.confirmation
    std::function<std::string()> origin;  // of this server as others call it: "https://host:port"
    net::HttpRules http;
    const SecretSource* secrets = nullptr;  // of InfluxDB's tokens; outlives this
  };

  Destinations(store::Store& store, const Clock& clock, Executor& pool, Options options);

  Status load();

  // kAlreadyExists. The request to confirm goes out beside it.
  Result<record::RuleDestination> create(record::RuleDestination destination);
  // Makes one of kind http if none has that confirmation URL: rules bring theirs along.
  Status ensure(std::string_view confirmation_url);
  // kUnauthorized if there is none, as AWS has it; here and below.
  Result<record::RuleDestination> get(std::string_view arn);
  // kInvalidRequest: not a status to be set, or the destination was never confirmed.
  Status update(std::string_view arn, std::string_view status);
  Status remove(std::string_view arn);
  Status wipe();
  // kUnauthorized: nobody waits for that token, or no longer.
  Status confirm(std::string_view token);
  // In the order of ids, behind `after`.
  std::vector<record::RuleDestination> list(std::string_view after, std::size_t most);

  // The destination of kind influxdb; kNotFound if there is none of that ARN, kForbidden while it is not enabled, kUnavailable while nobody knows yet.
  Result<record::RuleDestination> influx(std::string_view arn);

  // For it.
  Result<InfluxAccess> open(const record::RuleDestination& influx) const {
    return open_influx_destination(influx, options_.secrets);
  }

  // kForbidden unless the URL begins with the confirmation URL of a destination that is enabled.
  Status check(std::string_view url);

  std::string arn_of(const record::RuleDestination& destination) const;

  const net::HttpRules& http() const { return options_.http; }

 private:
  using Table = std::map<std::string, record::RuleDestination, std::less<>>;

  // With mutex_ held.
  Table::iterator find(std::string_view arn);
  void expire(record::RuleDestination& destination) const;
  void ask_for_confirmation(record::RuleDestination& destination) const;

  Status commit(const record::RuleDestination& destination);
  void send_confirmation(const record::RuleDestination& destination);
  void try_influx(const record::RuleDestination& destination);
  void end_of_try(const record::RuleDestination& destination, const Status& tried);

  store::Store& store_;
  const Clock& clock_;
  Executor& pool_;
  const Options options_;
  std::mutex changing_;  // one change at a time, from what it begins with to its commit
  std::mutex mutex_;     // and what follows, changed when it is committed
  Table destinations_;
};

// Whether `url` is below `base`: it begins with it, and what follows does not change the host.
bool is_below(std::string_view url, std::string_view base);

}  // namespace iotcore::rules
