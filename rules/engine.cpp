#include "rules/engine.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/log.h"
#include "broker/worker_broker.h"
#include "rules/keys.h"
#include "rules/message_source.h"

#include <atomic>
#include <thread>
#include <utility>

namespace iotcore::rules {
namespace {

SinkEnvironment environment_of(
    const EngineOptions& options,
    const Targets& targets,
    LocalFunctions* functions,
    BuiltIns& built_ins,
    broker::Broker& broker
) {
  SinkEnvironment environment;
  environment.folder = options.sink_folder;
  environment.allow_absolute_paths = options.allow_absolute_paths;
  environment.targets = &targets;
  environment.functions = functions;
  environment.workers = &broker.workers();
  environment.clock = &broker.clock();
  environment.built_ins = &built_ins;
  return environment;
}

Destinations::Options destination_options(
    const EngineOptions& options, const broker::BrokerOptions& account
) {
  return {
      .arn_prefix = "arn:aws:iot:" + account.region + ":" + account.account + ":",
      .confirmation_required = options.confirm_destinations,
      .origin = options.origin,
      .http = options.http};
}

// xorshift64*: rand() and newuuid() of rules need to be spread well, not to be unguessable.
class WorkerRandom final : public sql::Random {
 public:
  WorkerRandom() : state_(ByteReader(random_bytes(8)).u64() | 1) {}

  std::uint64_t next() override {
    state_ ^= state_ >> 12U;
    state_ ^= state_ << 25U;
    state_ ^= state_ >> 27U;
    return state_ * 0x2545F4914F6CDD1DULL;
  }

 private:
  std::uint64_t state_;
};

void append_hex(std::string& out, std::uint64_t number, unsigned digits) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  while (digits > 0) {
    out.push_back(kDigits[(number >> (--digits * 4)) & 15U]);
  }
}

struct Prepared {
  SinkQueue* queue;
  std::unique_ptr<Record> record;
};

// The durable records of one firing between evaluation and commit. Then they go to their queues, and the publisher is answered.
class CommittingFiring final : public broker::PendingAck {
 public:
  CommittingFiring(
      broker::PendingAck::Hold publisher, std::shared_ptr<const std::atomic<bool>> engine_is_there
  )
      : PendingAck(&CommittingFiring::complete),
        publisher_(std::move(publisher)),
        engine_is_there_(std::move(engine_is_there)) {}

  std::vector<Prepared> records;
  Function<void()> after;

 private:
  static void complete(PendingAck& self, std::optional<Errc> failure) {
    const std::unique_ptr<CommittingFiring> firing(static_cast<CommittingFiring*>(&self));
    if (!*firing->engine_is_there_) {
      return;  // dropped with the queue of a store or worker that has stopped
    }
    if (failure) {
      firing->publisher_.fail(*failure);
    }
    SinkQueue* full = nullptr;
    for (Prepared& prepared : firing->records) {
      if (failure) {
        // Nobody was promised anything, but what can be delivered is.
        prepared.record->sequence = 0;
        prepared.record->message_id.clear();
      }
      full = prepared.queue;
      prepared.queue->push(std::move(prepared.record));
    }
    if (firing->after) {
      firing->after();
    }
    if (!failure && full != nullptr) {
      full->hold_while_full(std::move(firing->publisher_));
    }
    firing->publisher_.release();
  }

  broker::PendingAck::Hold publisher_;
  std::shared_ptr<const std::atomic<bool>> engine_is_there_;  // the worker's, of the engine
};

}  // namespace

// What one worker needs to run rules, kept from message to message.
struct Engine::WorkerState {
  WorkerRandom random;
  sql::ParsedPayload payload;
  MessageSource source;
  std::uint64_t trace_high = ByteReader(random_bytes(8)).u64();
  std::uint64_t trace_count = 0;
  std::string trace_id;
  // Shared with the firings of this worker that wait for their commit, and may outlive the engine.
  std::shared_ptr<std::atomic<bool>> engine_is_there = std::make_shared<std::atomic<bool>>(true);

  // In the form of a UUID; unique by a random half for the worker and a count.
  const std::string& next_trace_id() {
    const std::uint64_t low = ++trace_count;
    trace_id.clear();
    append_hex(trace_id, trace_high >> 32U, 8);
    trace_id += '-';
    append_hex(trace_id, trace_high >> 16U, 4);
    trace_id += '-';
    append_hex(trace_id, trace_high, 4);
    trace_id += '-';
    append_hex(trace_id, low >> 48U, 4);
    trace_id += '-';
    append_hex(trace_id, low, 12);
    return trace_id;
  }
};

// One rule that fired for one message: its actions, and what they become.
class Engine::Firing {
 public:
  Firing(Engine& engine, WorkerState& worker, const LiveRule& live, broker::PublishContext& context)
      : engine_(engine), worker_(worker), live_(live), context_(context) {}

  void run(const ActionInput& input);

 private:
  bool is_durable(const RuleAction& action);
  void publish(const RuleAction& action, const ActionInput& input, Action::Fields fields);
  void queue(std::size_t index, const ActionInput& input, Action::Fields fields);
  void add_failure(const RuleAction& action, const Action::Fields& fields, const Error& error);
  record::OutboxMessage message() const;
  void finish();
  void commit(CommittingFiring* committing);

  Engine& engine_;
  WorkerState& worker_;
  const LiveRule& live_;
  broker::PublishContext& context_;
  std::vector<Prepared> durable_;
  std::vector<Prepared> in_memory_;
  std::uint32_t durable_mask_ = 0;
  std::vector<record::ActionFailure> failures_;
};

void Engine::Firing::run(const ActionInput& input) {
  const std::vector<RuleAction>& actions = live_.rule->actions;
  for (std::size_t i = 0; i < actions.size(); ++i) {
    Result<Action::Fields> fields = actions[i].action->resolve(input);
    if (!fields) {
      add_failure(actions[i], {}, fields.error());
    } else if (actions[i].action->is_publish()) {
      publish(actions[i], input, std::move(*fields));
    } else {
      queue(i, input, std::move(*fields));
    }
  }
  finish();
}

bool Engine::Firing::is_durable(const RuleAction& action) {
  switch (action.delivery.durable) {
    case Durable::kNever:
      return false;
    case Durable::kAlways:
      return true;
    case Durable::kQos1:
      break;
  }
  // A publish over HTTP is answered with 200 whatever its QoS.
  const broker::PublishView& publish = context_.publish();
  return publish.qos != broker::Qos::kAtMostOnce || publish.origin == broker::Origin::kHttp;
}

void Engine::Firing::add_failure(
    const RuleAction& action, const Action::Fields& fields, const Error& error
) {
  live_.metrics->action_failed(action.kind->name);
  record::ActionFailure failure;
  failure.set_action(action.label);
  failure.set_resource(fields.empty() ? action.action->target() : action.action->resource(fields));
  failure.set_message(error.message());
  failures_.push_back(std::move(failure));
}

void Engine::Firing::publish(
    const RuleAction& action, const ActionInput& input, Action::Fields fields
) {
  Result<broker::Message::Ref> message =
      action.action->to_message(fields, input.payload, context_.publish().hops);
  if (!message) {
    add_failure(action, fields, message.error());
    return;
  }
  broker::OwnedPublish publish;
  publish.message = std::move(*message);
  publish.source_ip = context_.publisher().source_ip;
  publish.hold = context_.hold();
  context_.worker().publish_later(std::move(publish));
  live_.metrics->action_succeeded(action.kind->name, 0);
}

void Engine::Firing::queue(std::size_t index, const ActionInput& input, Action::Fields fields) {
  const RuleAction& action = live_.rule->actions[index];
  const bool durable = is_durable(action);
  auto record = std::make_unique<Record>();
  record->rule = live_.rule->definition.name;
  record->action = static_cast<std::int32_t>(index);
  record->delivery_id = worker_.trace_id + ":" + record->rule + ":" + std::to_string(index);
  record->fields = std::move(fields);
  record->payload = input.payload;
  record->is_json = input.is_json;
  record->hops = context_.publish().hops;
  record->received_ms = worker_.source.view().timestamp_ms;
  set_patience(*record, action.delivery, durable);
  if (durable) {
    durable_mask_ |= 1U << index;
  }
  (durable ? durable_ : in_memory_).push_back({live_.queues[index], std::move(record)});
}

record::OutboxMessage Engine::Firing::message() const {
  const broker::PublishView& publish = context_.publish();
  return keep_message(worker_.source.view(), publish.payload, publish.properties, publish.hops);
}

void Engine::Firing::finish() {
  const bool has_error_action = live_.rule->error_action.has_value();
  if (!has_error_action) {
    for (const record::ActionFailure& failure : failures_) {
      if (!engine_.log_limit_.allows()) {
        break;
      }
      log(LogLevel::kInfo,
          "action.failed",
          {{"rule", live_.rule->definition.name},
           {"action", failure.action()},
           {"error", failure.message()}});
    }
    failures_.clear();
  }
  if (has_error_action && !in_memory_.empty()) {
    const auto firing =
        std::make_shared<MemoryFiring>(message(), static_cast<std::uint32_t>(in_memory_.size()));
    if (durable_.empty()) {
      for (record::ActionFailure& failure : std::exchange(failures_, {})) {
        firing->add_failure(std::move(failure));
      }
    }
    for (Prepared& prepared : in_memory_) {
      prepared.record->firing = firing;
    }
  }
  for (Prepared& prepared : in_memory_) {
    prepared.queue->push(std::move(prepared.record));
  }
  if (!durable_.empty()) {
    commit(new CommittingFiring(context_.hold(), worker_.engine_is_there));
  } else if (!failures_.empty()) {
    if (is_durable(*live_.rule->error_action)) {
      commit(new CommittingFiring(context_.hold(), worker_.engine_is_there));
    } else {
      engine_.firings_.fire_error_action(
          live_.rule->definition.name, message(), std::move(failures_), nullptr
      );
    }
  }
}

void Engine::Firing::commit(CommittingFiring* committing) {
  const std::string& rule = live_.rule->definition.name;
  store::Batch& batch = context_.worker().durable_batch(committing->hold());
  for (Prepared& prepared : durable_) {
    Record& record = *prepared.record;
    if (live_.rule->error_action) {
      record.message_id = worker_.trace_id;
      record.actions_mask = durable_mask_;
    }
    record.sequence = prepared.queue->next_sequence(batch);
    Outbox::put(batch, prepared.queue->id(), record);
  }
  if (durable_.empty()) {
    committing->after =
        engine_.firings_.fire_error_action(rule, message(), std::move(failures_), &batch);
    return;
  }
  if (live_.rule->error_action) {
    batch.put(keys::kOutbox, keys::message(worker_.trace_id, rule), message().SerializeAsString());
    if (!failures_.empty()) {
      record::OutboxFiring state;
      state.set_open_mask(durable_mask_);
      for (record::ActionFailure& failure : failures_) {
        *state.add_failures() = std::move(failure);
      }
      batch.put(keys::kOutbox, keys::firing(worker_.trace_id, rule), state.SerializeAsString());
    }
  }
  committing->records = std::move(durable_);
}

Engine::Engine(
    broker::Broker& broker,
    store::Store& store,
    EngineOptions options,
    std::unique_ptr<SinkRunner> runner
)
    : broker_(broker),
      options_(std::move(options)),
      external_(options_.external != nullptr ? *options_.external : no_external_),
      metrics_(broker.metrics()),
      not_found_(metrics_.counter(
          "iotcore_rule_not_found_total", "Basic Ingest publishes that named no enabled rule"
      )),
      log_limit_(broker.clock()),
      outbox_(store),
      rule_metrics_(metrics_, broker.workers().count()),
      firings_(outbox_, rule_metrics_, metrics_, broker.clock(), options_.dead_letters),
      runner_(runner ? std::move(runner) : std::make_unique<SinkThreads>(options_.sink_threads)),
      targets_(options_.secrets),
      functions_(
          options_.functions == nullptr
              ? nullptr
              : std::make_unique<LocalFunctions>(*options_.functions, targets_)
      ),
      built_ins_(
          store,
          metrics_,
          broker.clock(),
          broker.workers().blocking(),
          options_.queues,
          destination_options(options_, broker.options())
      ),
      sinks_(
          environment_of(options_, targets_, functions_.get(), built_ins_, broker),
          outbox_,
          *runner_,
          firings_,
          broker.clock(),
          metrics_,
          options_.sink_memory_bytes_max,
          options_.sink_queue_bytes_max
      ),
      rules_(broker, *this),
      catalog_(store, rules_, sinks_, targets_, rule_metrics_, broker.clock(), options_.compile) {
  for (std::size_t i = 0; i < broker.workers().count(); ++i) {
    workers_.push_back(std::make_unique<WorkerState>());
  }
  firings_.connect(sinks_, rules_, external_, broker.options().account);
}

Engine::~Engine() {
  rules_.stop();
  sinks_.stop();
  for (const std::unique_ptr<WorkerState>& worker : workers_) {
    *worker->engine_is_there = false;
  }
  runner_.reset();  // nothing of what follows is in use then
}

Status Engine::load_targets() {
  std::vector<Target> targets;
  for (const Target& target : options_.targets) {
    auto checked = check_target(target);
    if (!checked) {
      return fail(
          Errc::kInvalidRequest,
          "target " + target.name + " of the configuration: " + to_error(checked.error()).message()
      );
    }
    targets.push_back(std::move(*checked));
  }
  IOTCORE_TRY(targets_.replace("", std::move(targets)));
  return catalog_.load_targets();
}

Status Engine::load() {
  IOTCORE_TRY(load_targets());
  IOTCORE_TRY(built_ins_.load());
  IOTCORE_ASSIGN(const std::vector<Outbox::Waiting> waiting, outbox_.open(broker_.clock().wall()));
  IOTCORE_TRY(firings_.load());
  sinks_.resume(waiting);
  return catalog_.load();
}

void Engine::start() {
  sinks_.start();
  rules_.start();
}

void Engine::stop(Duration deadline) {
  rules_.stop();
  sinks_.hurry();
  const SystemClock clock;  // whatever the broker's says: this waits for threads
  const MonotonicTime until = clock.now() + deadline;
  while (!sinks_.are_drained() && clock.now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  sinks_.stop();
}

void Engine::rule_not_found(std::string_view name) {
  not_found_.add_shared();
  log(LogLevel::kDebug, "rule.not_found", {{"rule", name}});
}

void Engine::execute(
    std::span<const LiveRuleRef> rules, std::string_view topic, broker::PublishContext& context
) {
  const WorkerId id = context.worker().id();
  WorkerState& worker = *workers_[index(id)];
  const broker::PublishView& publish = context.publish();
  worker.payload.reset(publish.payload);
  worker.source.read(
      topic,
      context.publisher(),
      publish,
      worker.next_trace_id(),
      broker_.options().account,
      to_epoch_ms(broker_.clock().wall())
  );
  for (const LiveRuleRef& live : rules) {
    live->metrics->matched(id);
    sql::Evaluation evaluation(
        live->rule->program,
        worker.source.view(),
        worker.payload,
        external_,
        worker.random,
        options_.limits
    );
    Result<std::optional<sql::Output>> output = evaluation.run();
    if (!output) {
      live->metrics->failed(output.error().name());
      if (log_limit_.allows()) {
        log(LogLevel::kWarn,
            "rule.failed",
            {{"rule", live->rule->definition.name}, {"error", output.error().message()}});
      }
      continue;
    }
    if (!*output) {
      continue;
    }
    live->metrics->fired(id);
    Firing(*this, worker, *live, context)
        .run({evaluation, (*output)->view(), (*output)->is_json()});
  }
}

}  // namespace iotcore::rules
