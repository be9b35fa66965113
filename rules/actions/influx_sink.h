#pragma once

#include "net/http_client.h"
#include "rules/actions/target_options.h"
#include "rules/sink.h"
#include "rules/targets.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::actions {

// A target of kind `influx`: InfluxDB, or whatever takes its line protocol.
struct InfluxOptions {
  HttpOptions http;
  std::string version;       // "1", "2" or "3": its path and names
  std::string database;      // of records that name none; in 2 the bucket
  std::string organization;  // 2
  std::string token;         // 2 and 3
  std::string user;          // 1
  std::string password;
};

InfluxOptions read_influx(MemberReader& members);

// What a record writes: lines for one database.
struct InfluxLines {
  std::string database;      // empty: the target's
  std::string organization;  // empty: the target's
  std::string unit;          // s, ms, us or ns
  std::string lines;
};

// The path and query of a write.
std::string influx_write_target(const InfluxOptions& options, const InfluxLines& lines);

// What the sinks that write to InfluxDB have in common: a batch is one request for each database. Points that are written again take their own place. A
// batch that is refused is cut into halves until what is refused is alone.
class InfluxSink : public Sink {
 public:
  InfluxSink(TargetRef target, const Targets& targets)
      : target_(std::move(target)), targets_(targets) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override;
  Status probe() override;

 protected:
  struct Opened {
    InfluxOptions options;
    net::HttpServer server;
  };

  void close() { connection_.reset(); }

  // Where it writes to; asked again after an answer 401.
  virtual Result<Opened> open();
  // An error is this record's only, and permanent.
  virtual Result<InfluxLines> lines_of(const Record& record) = 0;

 private:
  struct Item {
    std::size_t place;
    InfluxLines lines;
  };

  Status ensure_open();
  Result<net::HttpResponse> post(std::span<const Item> items);
  void write(std::span<const Item> items, std::span<Outcome> outcomes);

  const TargetRef target_;
  const Targets& targets_;
  std::optional<InfluxOptions> options_;
  std::optional<net::HttpConnection> connection_;
  std::uint32_t requests_ = 0;
};

}  // namespace iotcore::rules::actions
