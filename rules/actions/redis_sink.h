#pragma once

#include "rules/actions/redis_client.h"
#include "rules/sequence_set.h"
#include "rules/sink.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace iotcore::rules::actions {

// What the sinks that write to Redis have in common: one batch is sent at once.
//
// Each durable record is written exactly once as far as Redis itself keeps what it has: a batch is one MULTI, which also writes which records are
// delivered into the key _iotcore:delivered:<sink>. Without exactlyOnce (a cluster can't do it), at least once.
class RedisSink : public Sink {
 public:
  // `id` tells this sink's records from other sinks' in the same database.
  RedisSink(TargetRef target, const Targets& targets, const std::string& id)
      : target_(std::move(target)), targets_(targets), key_("_iotcore:delivered:" + id) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override;
  Status probe() override;

 protected:
  // An error is this record's only, and permanent.
  virtual Result<std::vector<RedisCommand>> commands_of(const Record& record) = 0;

 private:
  // What goes to Redis of one batch.
  struct Plan {
    std::vector<RedisCommand> commands;
    std::vector<std::size_t> record_of;  // each command's
    SequenceSet delivered;
    bool in_transaction = false;
    bool refused = false;  // nothing was done
  };

  Status ensure_open();
  Status deliver_all(std::span<const Record* const> batch, std::span<Outcome> outcomes);
  Plan plan(std::span<const Record* const> batch, std::span<Outcome> outcomes);
  Result<std::vector<RedisReply>> run(Plan& plan);

  const TargetRef target_;
  const Targets& targets_;
  const std::string key_;
  std::unique_ptr<RedisConnection> connection_;
  std::int64_t last_id_ = 0;  // of the connection before
  bool exactly_once_ = true;
  SequenceSet delivered_;
};

}  // namespace iotcore::rules::actions
