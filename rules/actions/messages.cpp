#include "rules/actions/messages.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/json.h"
#include "broker/topic.h"
#include "rules/actions/aws_messages.h"
#include "rules/actions/aws_service.h"
#include "rules/actions/aws_sinks.h"
#include "rules/actions/fields_action.h"
#include "rules/actions/message_targets.h"
#include "rules/actions/post_targets.h"
#include "rules/built_ins.h"
#include "rules/functions/function_sink.h"
#include "rules/in_process_publish.h"

#include <fmt/format.h>

#include <array>
#include <deque>
#include <set>

namespace iotcore::rules::actions {
namespace {

constexpr std::string_view kOn = "true";

// sqs

constexpr std::size_t kBodyBytesMax = 256U << 10;

Status check_queue_url(std::string_view value) {
  IOTCORE_TRY(MessageQueues::name_in(value));
  return {};
}

constexpr auto kSqsFields = std::to_array<FieldSpec>({
    {.member = "queueUrl", .check = check_queue_url},
    {.member = "useBase64", .kind = FieldKind::kBoolean, .presence = Presence::kOptional},
});
static_assert(kSqsFields.size() == kSqsFieldCount);

constexpr ActionSpec kSqsSpec = {.kind = Sqs::kName, .fields = kSqsFields, .name = kQueueUrl};

// What is sent.
Outcome queue_body(const Record& record, std::string& body) {
  if (record.fields.size() != kSqsFieldCount) {
    return Outcome::permanent("not a record of this kind");
  }
  body = record.fields[kUseBase64] == kOn ? to_base64(record.payload) : record.payload;
  if (body.empty() || body.size() > kBodyBytesMax) {
    return Outcome::permanent(fmt::format("a message of {} bytes cannot be sent", body.size()));
  }
  return is_valid_utf8(body) ? Outcome()
                             : Outcome::permanent("the result is not text; useBase64 can send it");
}

class QueueSink final : public Sink {
 public:
  explicit QueueSink(MessageQueues& queues) : queues_(queues) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    std::map<std::string, std::vector<std::size_t>> by_queue;
    std::vector<std::string> bodies(batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      outcomes[i] = queue_body(*batch[i], bodies[i]);
      if (outcomes[i].kind == Outcome::Kind::kDelivered) {
        by_queue[MessageQueues::name_in(batch[i]->fields[kQueueUrl]).value_or("")].push_back(i);
      }
    }
    for (const auto& [queue, records] : by_queue) {
      std::vector<std::string_view> texts;
      for (const std::size_t i : records) {
        texts.push_back(bodies[i]);
      }
      const auto sent = queues_.send(queue, texts);
      for (const std::size_t i : records) {
        if (!sent) {
          outcomes[i] = sent.error().code() == Errc::kInvalidRequest
                            ? Outcome::permanent(sent.error().message())
                            : Outcome::retry(sent.error().message());
        }
      }
    }
  }

  Status probe() override { return {}; }

 private:
  MessageQueues& queues_;
};

Result<std::unique_ptr<Sink>> make_queues(const SinkEnvironment& environment) {
  if (environment.built_ins == nullptr) {
    return fail(Errc::kUnavailable, "there are no queues here");
  }
  return std::make_unique<QueueSink>(environment.built_ins->queues);
}

// The queue's name is the last part of its URL.
Result<RoutedMessage> route_of_queue(const Record& record) {
  if (record.fields.size() != kSqsFieldCount) {
    return fail(Errc::kInvalidRequest, "not a record of this kind");
  }
  const std::string& url = record.fields[kQueueUrl];
  return RoutedMessage{url.substr(url.rfind('/') + 1), {}};
}

Result<std::optional<std::string>> body_of_queue(const Record& record) {
  if (record.fields.size() != kSqsFieldCount || record.fields[kUseBase64] != kOn) {
    return std::nullopt;
  }
  return to_base64(record.payload);
}

Result<json::object> entry_of_queue(const Record& record, const std::string& id) {
  std::string body;
  if (const Outcome made = queue_body(record, body); made.kind != Outcome::Kind::kDelivered) {
    return fail(Errc::kInvalidRequest, made.reason);
  }
  return json::object{{"Id", id}, {"MessageBody", body}};
}

constexpr AwsService kSqsService = {
    .name = "sqs",
    .operation = "AmazonSQS.SendMessageBatch",
    .version = "1.0",
    .entries_max = 10,
    .bytes_max = 250'000,
    .destination = "QueueUrl",
    .entries = "Entries",
    .results = {},
    .destination_of = &field_of<kQueueUrl>,
    .entry_of = &entry_of_queue};

Result<std::unique_ptr<Sink>> make_bound_queue(
    const TargetRef& target, const SinkEnvironment& environment
) {
  if (target->kind == "aws") {
    return make_aws_service_sink(kSqsService, target, environment);
  }
  return make_message_sink(Sqs::kName, target, environment, &route_of_queue, &body_of_queue);
}

constexpr AwsSinks kSqsSinks = {Sqs::kName, &field_of<kQueueUrl>, &make_queues, &make_bound_queue};

// iotEvents

constexpr std::string_view kInputTopic = "$iotcore/inputs/";
constexpr std::size_t kBatchMax = 10;

Status check_input(std::string_view value) {
  constexpr std::size_t kBytesMax = 128;
  return !value.empty() && value.size() <= kBytesMax && broker::is_valid_topic(value)
             ? Status()
             : fail(Errc::kInvalidRequest, fmt::format("'{}' is not an input's name", value));
}

Status check_message_id(std::string_view value) {
  constexpr std::size_t kBytesMax = 128;
  return value.size() <= kBytesMax ? Status()
                                   : fail(Errc::kInvalidRequest, "is longer than 128 bytes");
}

constexpr auto kEventsFields = std::to_array<FieldSpec>({
    {.member = "inputName", .check = check_input},
    {.member = "messageId", .presence = Presence::kOptional, .check = check_message_id},
    {.member = "batchMode", .kind = FieldKind::kBoolean, .presence = Presence::kOptional},
});
static_assert(kEventsFields.size() == kIotEventsFieldCount);

constexpr ActionSpec kEventsSpec = {
    .kind = IotEvents::kName, .fields = kEventsFields, .name = kInputName, .needs_json = true};

// The ids of the last ten minutes.
class RecentIds {
 public:
  bool contains(const std::string& id, MonotonicTime now) {
    while (!by_age_.empty() && (by_age_.front().first + kLife <= now || by_age_.size() > kMost)) {
      ids_.erase(by_age_.front().second);
      by_age_.pop_front();
    }
    return ids_.contains(id);
  }

  void add(const std::string& id, MonotonicTime now) {
    if (ids_.insert(id).second) {
      by_age_.emplace_back(now, id);
    }
  }

 private:
  static constexpr Duration kLife = std::chrono::minutes(10);
  static constexpr std::size_t kMost = 100'000;

  std::deque<std::pair<MonotonicTime, std::string>> by_age_;
  std::set<std::string> ids_;
};

// Inputs of IoT Events, each record by itself.
class InputSink : public Sink {
 public:
  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    deliver_in_order(batch, outcomes, [this](const Record& record) {
      return record.fields.size() == kIotEventsFieldCount
                 ? deliver_one(record)
                 : Outcome::permanent("not a record of this kind");
    });
  }

  // Each fails by itself, when it is its turn.
  Status probe() override { return {}; }

 private:
  virtual Outcome deliver_one(const Record& record) = 0;
};

class PublishedInputs final : public InputSink {
 public:
  PublishedInputs(broker::Workers& workers, const Clock& clock)
      : workers_(workers), clock_(clock) {}

 private:
  Outcome deliver_one(const Record& record) override {
    const std::string& message_id = record.fields[kMessageId];
    const std::string id = record.fields[kInputName] + '\0' + message_id;
    if (!message_id.empty() && recent_.contains(id, clock_.now())) {
      return {};
    }
    std::vector<broker::Message::Ref> messages;
    const std::string topic = std::string(kInputTopic) + record.fields[kInputName];
    if (record.fields[kEventsBatchMode] == kOn) {
      const Result<json::value> list = parse_json(record.payload);
      if (!list || !list->is_array() || list->get_array().size() > kBatchMax) {
        return Outcome::permanent("the result is not a list of at most 10 messages");
      }
      for (const json::value& element : list->get_array()) {
        messages.push_back(make_service_message(topic, to_json(element)));
      }
    } else {
      messages.push_back(make_service_message(topic, record.payload));
    }
    for (const bool ok : publish_and_wait(workers_, messages)) {
      if (!ok) {
        return Outcome::retry("the broker has not confirmed the publish");
      }
    }
    if (!message_id.empty()) {
      recent_.add(id, clock_.now());
    }
    return {};
  }

  broker::Workers& workers_;
  const Clock& clock_;
  RecentIds recent_;
};

Result<std::unique_ptr<Sink>> make_inputs(const SinkEnvironment& environment) {
  if (environment.workers == nullptr) {
    return fail(Errc::kUnavailable, "there is no broker here to publish to");
  }
  return std::make_unique<PublishedInputs>(*environment.workers, clock_of(environment));
}

// Each message is one call: of the function that the target is, or of one of the input's name that runs elsewhere.
class FunctionInputs final : public InputSink {
 public:
  FunctionInputs(TargetRef target, SinkEnvironment environment)
      : target_(std::move(target)), environment_(std::move(environment)) {}

 private:
  Outcome deliver_one(const Record& record) override {
    functions::Invocation invocation;
    invocation.payload = record.payload;
    return outcome_of(call(record.fields[kInputName], std::move(invocation)), record);
  }

  Result<functions::Answer> call(const std::string& input, functions::Invocation invocation) const {
    if (target_->kind == FunctionTarget::kName) {
      return call_function(environment_, target_->name, std::move(invocation));
    }
    IOTCORE_ASSIGN(
        RemoteFunction remote, RemoteFunction::open(*target_, *environment_.targets, kLambdaService)
    );
    return remote.call(input, invocation, true);
  }

  const TargetRef target_;
  const SinkEnvironment environment_;
};

Result<std::unique_ptr<Sink>> make_bound_input(
    const TargetRef& target, const SinkEnvironment& environment
) {
  if (target->kind == "http") {
    return make_http_inputs(target, environment);
  }
  if (target->kind == FunctionTarget::kName || target->kind == LambdaTarget::kName) {
    return std::make_unique<FunctionInputs>(target, environment);
  }
  return make_aws_input(target, environment);
}

constexpr AwsSinks kEventsSinks = {
    IotEvents::kName, &field_of<kInputName>, &make_inputs, &make_bound_input};

}  // namespace

ParsedAction Sqs::parse(MemberReader& members, const SinkEnvironment& environment) {
  return parse_fields(members, environment, kSqsSpec);
}

Result<std::unique_ptr<Sink>> Sqs::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_aws_sink(target, environment, kSqsSinks, &make_sink);
}

ParsedAction IotEvents::parse(MemberReader& members, const SinkEnvironment& environment) {
  if (members.has("messageId") && members.optional_boolean("batchMode").value_or(false)) {
    members.fail_member("messageId", "is not possible in batch mode");
  }
  return parse_fields(members, environment, kEventsSpec);
}

Result<std::unique_ptr<Sink>> IotEvents::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_aws_sink(target, environment, kEventsSinks, &make_sink);
}

}  // namespace iotcore::rules::actions
