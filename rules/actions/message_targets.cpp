#include "rules/actions/message_targets.h"

#include "rules/actions/amqp_sink.h"
#include "rules/actions/kafka_sink.h"
#include "rules/actions/nats_sink.h"
#include "rules/actions/redis_sink.h"
#include "rules/actions/s3.h"
#include "rules/actions/s3_endpoint.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <deque>
#include <vector>

namespace iotcore::rules::actions {
namespace {

class ToKafka final : public KafkaSink {
 public:
  ToKafka(const TargetRef& target, const Targets* targets, RouteOf route)
      : KafkaSink(target, targets), route_(route) {}

 private:
  Result<Message> message_of(const Record& record) override {
    IOTCORE_ASSIGN(RoutedMessage routed, route_(record));
    Message made;
    made.message.topic = std::move(routed.destination);
    if (!routed.key.empty()) {
      made.message.key = std::move(routed.key);
    }
    return made;
  }

  const RouteOf route_;
};

class ToNats final : public NatsSink {
 public:
  ToNats(const TargetRef& target, const Targets& targets, RouteOf route)
      : NatsSink(target, targets), route_(route) {}

 private:
  Result<NatsMessage> message_of(const Record& record, bool jetstream) override {
    IOTCORE_ASSIGN(RoutedMessage routed, route_(record));
    NatsMessage made{std::move(routed.destination), {}, jetstream};
    if (!routed.key.empty()) {
      made.headers.emplace_back("key", std::move(routed.key));
    }
    return made;
  }

  const RouteOf route_;
};

class ToRedis final : public RedisSink {
 public:
  ToRedis(const TargetRef& target, const Targets& targets, const std::string& id, RouteOf route)
      : RedisSink(target, targets, id), route_(route) {}

 private:
  Result<std::vector<RedisCommand>> commands_of(const Record& record) override {
    IOTCORE_ASSIGN(RoutedMessage routed, route_(record));
    RedisCommand add = {
        "XADD",
        std::move(routed.destination),
        "*",
        "payload",
        record.payload,
        "deliveryId",
        record.delivery_id};
    if (!routed.key.empty()) {
      add.insert(add.end(), {"key", std::move(routed.key)});
    }
    std::vector<RedisCommand> commands;
    commands.push_back(std::move(add));
    return commands;
  }

  const RouteOf route_;
};

class ToAmqp final : public AmqpSink {
 public:
  ToAmqp(const TargetRef& target, const Targets& targets, RouteOf route)
      : AmqpSink(target, targets), route_(route) {}

 private:
  Result<AmqpMessage> message_of(const Record& record) override {
    IOTCORE_ASSIGN(RoutedMessage routed, route_(record));
    AmqpMessage made;
    made.routing_key = std::move(routed.destination);
    if (!routed.key.empty()) {
      made.headers.emplace_back("key", std::move(routed.key));
    }
    return made;
  }

  const RouteOf route_;
};

// Gives records another body on their way.
class Rewriting final : public Sink {
 public:
  Rewriting(std::unique_ptr<Sink> inner, BodyOf body) : inner_(std::move(inner)), body_(body) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    std::deque<Record> changed;
    PartOfBatch going;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Result<std::optional<std::string>> body = body_(*batch[i]);
      if (!body) {
        outcomes[i] = Outcome::permanent(body.error().message());
        continue;
      }
      const Record* record = batch[i];
      if (*body) {
        Record& copy = changed.emplace_back(*record);
        copy.payload = **std::move(body);
        copy.is_json = false;
        record = &copy;
      }
      going.add(i, *record);
    }
    going.deliver(*inner_, outcomes);
  }

  Status probe() override { return inner_->probe(); }

 private:
  const std::unique_ptr<Sink> inner_;
  const BodyOf body_;
};

Result<std::unique_ptr<Sink>> make_plain(
    std::string_view kind,
    const TargetRef& target,
    const SinkEnvironment& environment,
    RouteOf route
) {
  if (target->kind == "kafka") {
    return std::make_unique<ToKafka>(target, environment.targets, route);
  }
  if (target->kind == "nats") {
    return std::make_unique<ToNats>(target, *environment.targets, route);
  }
  if (target->kind == "redis") {
    const std::string id = fmt::format("{}:{}:{}", environment.outbox_id, kind, target->name);
    return std::make_unique<ToRedis>(target, *environment.targets, id, route);
  }
  if (target->kind == "amqp") {
    return std::make_unique<ToAmqp>(target, *environment.targets, route);
  }
  return fail(
      Errc::kNotImplemented, fmt::format("{} has no way to targets of kind {}", kind, target->kind)
  );
}

class ToObjects final : public Sink {
 public:
  ToObjects(std::unique_ptr<Sink> objects, RouteOf route)
      : objects_(std::move(objects)), route_(route) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    std::deque<Record> objects;
    PartOfBatch puts;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Result<RoutedMessage> routed = route_(*batch[i]);
      if (!routed) {
        outcomes[i] = Outcome::permanent(routed.error().message());
        continue;
      }
      Record& object = objects.emplace_back();
      object.delivery_id = batch[i]->delivery_id;
      object.payload = batch[i]->payload;
      object.is_json = batch[i]->is_json;
      object.fields.resize(kS3FieldCount);
      object.fields[kBucket] = std::move(routed->destination);
      const auto time = fmt::gmtime(static_cast<std::time_t>(batch[i]->received_ms / 1000));
      object.fields[kObjectKey] = fmt::format("{:%Y/%m/%d/%H}/{}", time, batch[i]->delivery_id);
      puts.add(i, object);
    }
    puts.deliver(*objects_, outcomes);
  }

  Status probe() override { return objects_->probe(); }

 private:
  const std::unique_ptr<Sink> objects_;
  const RouteOf route_;
};

}  // namespace

Result<std::unique_ptr<Sink>> make_s3_objects(
    const TargetRef& target, const SinkEnvironment& environment, RouteOf route
) {
  IOTCORE_ASSIGN(std::unique_ptr<Sink> objects, make_s3_endpoint(target, environment));
  return std::make_unique<ToObjects>(std::move(objects), route);
}

Result<std::unique_ptr<Sink>> make_message_sink(
    std::string_view kind,
    const TargetRef& target,
    const SinkEnvironment& environment,
    RouteOf route,
    BodyOf body
) {
  IOTCORE_ASSIGN(std::unique_ptr<Sink> sink, make_plain(kind, target, environment, route));
  if (body == nullptr) {
    return sink;
  }
  return std::make_unique<Rewriting>(std::move(sink), body);
}

}  // namespace iotcore::rules::actions
