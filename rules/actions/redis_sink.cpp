#include "rules/actions/redis_sink.h"

namespace iotcore::rules::actions {
Status RedisSink::ensure_open() {
  if (connection_) {
    return {};
  }
  IOTCORE_ASSIGN(const RedisOptions options, open_target(*target_, targets_, read_redis));
  exactly_once_ = options.exactly_once;
  IOTCORE_ASSIGN(std::unique_ptr<RedisConnection> opened, RedisConnection::open(options));
  if (last_id_ != 0) {
    // What an earlier connection has sent and Redis has not looked at must not happen any more.
    IOTCORE_TRY(opened->run(RedisCommand{"CLIENT", "KILL", "ID", std::to_string(last_id_)}));
  }
  last_id_ = opened->id();
  if (exactly_once_) {
    IOTCORE_ASSIGN(const RedisReply kept, opened->run(RedisCommand{"GET", key_}));
    if (kept.is_error()) {
      return fail(Errc::kUnavailable, "Redis: " + kept.text);
    }
    delivered_ = sequence_set_from(kept.text);
  }
  connection_ = std::move(opened);
  return {};
}

Status RedisSink::probe() {
  IOTCORE_TRY(ensure_open());
  const Result<RedisReply> pong = connection_->run(RedisCommand{"PING"});
  if (!pong || pong->is_error()) {
    connection_.reset();
    return fail(Errc::kUnavailable, pong ? "Redis: " + pong->text : pong.error().message());
  }
  return {};
}

RedisSink::Plan RedisSink::plan(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  Plan made;
  made.delivered = delivered_;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const Record& record = *batch[i];
    const bool kept = exactly_once_ && record.is_durable();
    if (kept && delivered_.contains(record.sequence)) {
      continue;  // before a crash that came too early for us to know
    }
    Result<std::vector<RedisCommand>> commands = commands_of(record);
    if (!commands) {
      outcomes[i] = Outcome::permanent(commands.error().message());
      continue;
    }
    for (RedisCommand& command : *commands) {
      made.commands.push_back(std::move(command));
      made.record_of.push_back(i);
    }
    if (kept) {
      made.delivered.add(record.sequence);
      made.in_transaction = true;
    }
  }
  made.delivered.keep_highest();
  return made;
}

Result<std::vector<RedisReply>> RedisSink::run(Plan& plan) {
  if (!plan.in_transaction) {
    return connection_->run(plan.commands);
  }
  std::vector<RedisCommand> commands;
  commands.reserve(plan.commands.size() + 3);
  commands.push_back({"MULTI"});
  commands.insert(commands.end(), plan.commands.begin(), plan.commands.end());
  commands.push_back({"SET", key_, to_text(plan.delivered)});
  commands.push_back({"EXEC"});
  IOTCORE_ASSIGN(std::vector<RedisReply> replies, connection_->run(commands));
  RedisReply& all = replies.back();
  if (all.kind == RedisReply::Kind::kList) {
    all.list.pop_back();  // SET
    return std::move(all.list);
  }
  // Refused as a whole; those that were at fault have said why.
  plan.refused = true;
  std::vector<RedisReply> refused(replies.begin() + 1, replies.end() - 2);
  for (RedisReply& reply : refused) {
    if (!reply.is_error()) {
      reply = all;
    }
  }
  return refused;
}

Status RedisSink::deliver_all(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  IOTCORE_TRY(ensure_open());
  Plan made = plan(batch, outcomes);
  if (made.commands.empty()) {
    return {};
  }
  IOTCORE_ASSIGN(const std::vector<RedisReply> replies, run(made));
  // What fails inside of a transaction that was done is done with: the others count as delivered together with it.
  const bool may_retry = made.refused || !made.in_transaction;
  for (std::size_t i = 0; i < replies.size(); ++i) {
    Outcome& outcome = outcomes[made.record_of[i]];
    if (replies[i].is_error() && outcome.kind == Outcome::Kind::kDelivered) {
      outcome = may_retry && replies[i].is_temporary()
                    ? Outcome::retry("Redis: " + replies[i].text)
                    : Outcome::permanent("Redis: " + replies[i].text);
    }
  }
  if (!made.refused) {
    delivered_ = std::move(made.delivered);
  }
  return {};
}

void RedisSink::deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  const Status delivered = deliver_all(batch, outcomes);
  if (delivered) {
    return;
  }
  connection_.reset();
  for (Outcome& outcome : outcomes) {
    if (outcome.kind == Outcome::Kind::kDelivered) {
      outcome = Outcome::retry(delivered.error().message());
    }
  }
}

}  // namespace iotcore::rules::actions
