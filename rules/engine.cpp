#include "rules/engine.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/tracing.h"
#include "broker/worker_broker.h"
#include "rules/keys.h"
#include "rules/message_source.h"
#include "rules/rule_log.h"

#include <algorithm>
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
    const RecordSecrets& secrets,
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
  environment.secrets = &secrets;
  environment.roles = options.roles;
  return environment;
}

Destinations::Options destination_options(
    const EngineOptions& options, const broker::BrokerOptions& account
) {
  return {
      .arn_prefix = "arn:aws:iot:" + account.region + ":" + account.account + ":",
      .confirmation_required = options.confirm_destinations,
      .origin = options.origin,
      .http = options.http,
      .secrets = options.secrets};
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

// Whether the publisher is told when the message is kept: over HTTP with 200, whatever its QoS.
bool is_promised(const broker::PublishView& publish) {
  return publish.qos != broker::Qos::kAtMostOnce || publish.origin == broker::Origin::kHttp;
}

void describe_evaluation(
    tracing::Scope& span, const std::string& rule, const Result<std::optional<sql::Output>>& output
) {
  span.set("iotcore.rule", rule);
  if (!output) {
    span.set_error(output.error().message());
  } else {
    span.set("iotcore.rule.fired", *output ? "true" : "false");
  }
}

void append_hex(std::string& out, std::uint64_t number, unsigned digits) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  while (digits > 0) {
    out.push_back(kDigits[(number >> (--digits * 4)) & 15U]);
  }
}

// The durable records that one worker's rules have made in one turn, between evaluation and commit. Then they go to their queues, each queue's at once,
// and the publishers are answered.
class CommittingRecords final : public broker::PendingAck {
 public:
  explicit CommittingRecords(std::shared_ptr<const std::atomic<bool>> engine_is_there)
      : PendingAck(&CommittingRecords::complete), engine_is_there_(std::move(engine_is_there)) {}

  // Each of their queues may keep the publisher of `context` waiting.
  void add(std::vector<Prepared>& records, broker::PublishContext& context) {
    const SinkQueue* last = nullptr;
    for (Prepared& prepared : records) {
      if (std::exchange(last, prepared.queue) != prepared.queue) {
        waiting_.push_back({context.hold(), prepared.queue});
      }
      share_of(prepared.queue).records.push_back(std::move(prepared.record));
    }
  }

 private:
  struct Share {
    SinkQueue* queue;
    std::vector<std::unique_ptr<Record>> records;
  };

  struct Waiting {
    broker::PendingAck::Hold publisher;
    SinkQueue* queue;  // that may keep it waiting
  };

  // Shares of one queue are pushed in the order in which they were begun, so a message with very many actions needs no longer search.
  Share& share_of(SinkQueue* queue) {
    constexpr std::size_t kLookedAt = 8;
    const auto from =
        shares_.end() - static_cast<std::ptrdiff_t>(std::min(shares_.size(), kLookedAt));
    const auto found = std::find_if(from, shares_.end(), [queue](const Share& share) {
      return share.queue == queue;
    });
    return found != shares_.end() ? *found : shares_.emplace_back(Share{queue, {}});
  }

  static void complete(PendingAck& self, std::optional<Errc> failure) {
    const std::unique_ptr<CommittingRecords> committed(static_cast<CommittingRecords*>(&self));
    if (!*committed->engine_is_there_) {
      return;  // dropped with the queue of a store or worker that has stopped
    }
    for (Share& share : committed->shares_) {
      for (const std::unique_ptr<Record>& record : share.records) {
        if (failure) {
          // Nobody was promised anything, but what can be delivered is.
          record->sequence = 0;
          record->message_id.clear();
        }
      }
      share.queue->push_all(share.records);
    }
    for (Waiting& waiting : committed->waiting_) {
      if (failure) {
        waiting.publisher.fail(*failure);
      } else {
        waiting.queue->hold_while_full(std::move(waiting.publisher));
      }
      waiting.publisher.release();
    }
  }

  std::vector<Share> shares_;
  std::vector<Waiting> waiting_;
  std::shared_ptr<const std::atomic<bool>> engine_is_there_;  // the worker's, of the engine
};

// What one firing leaves besides, between evaluation and commit. Then it goes on, and the publisher is answered.
class CommittingFiring final : public broker::PendingAck {
 public:
  CommittingFiring(
      broker::PendingAck::Hold publisher, std::shared_ptr<const std::atomic<bool>> engine_is_there
  )
      : PendingAck(&CommittingFiring::complete),
        publisher_(std::move(publisher)),
        engine_is_there_(std::move(engine_is_there)) {}

  Function<void()> after;

  // Or an evaluation that is still to be made.
  struct Deferred {
    DeferredRules* rules = nullptr;
    DeferredRules::Item item;
  };

  Deferred deferred;

 private:
  static void complete(PendingAck& self, std::optional<Errc> failure) {
    const std::unique_ptr<CommittingFiring> firing(static_cast<CommittingFiring*>(&self));
    if (!*firing->engine_is_there_) {
      return;  // dropped with the queue of a store or worker that has stopped
    }
    if (failure) {
      firing->publisher_.fail(*failure);
    }
    if (firing->after) {
      firing->after();
    }
    if (DeferredRules* deferred = firing->deferred.rules) {
      const std::string rule = firing->deferred.item.rule;
      firing->deferred.item.sequence = failure ? 0 : firing->deferred.item.sequence;
      deferred->push(std::move(firing->deferred.item));
      if (!failure) {
        deferred->hold_while_full(rule, std::move(firing->publisher_));
      }
    }
    firing->publisher_.release();
  }

  broker::PendingAck::Hold publisher_;
  std::shared_ptr<const std::atomic<bool>> engine_is_there_;  // the worker's, of the engine
};

// Those of the configuration.
Result<std::vector<Target>> checked_targets(const std::vector<Target>& targets) {
  std::vector<Target> all;
  for (const Target& target : targets) {
    auto checked = check_target(target);
    if (!checked) {
      return fail(
          Errc::kInvalidRequest,
          "target " + target.name + " of the configuration: " + to_error(checked.error()).message()
      );
    }
    all.push_back(std::move(*checked));
  }
  return all;
}

}  // namespace

// What one worker needs to run rules, kept from message to message.
struct Engine::WorkerState {
  explicit WorkerState(SpareRecords& spare) : records(spare) {}

  WorkerRandom random;
  RecordSource records;
  // Of the commit of that number, which owns it.
  CommittingRecords* committing = nullptr;
  std::uint64_t committing_number = 0;
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

// On its way: publishes in this turn, records into the turn's commit or to their queues.
void Engine::send(Firing& firing, broker::PublishContext& context, WorkerState& worker) {
  for (Firing::Publish& made : firing.publishes) {
    broker::OwnedPublish publish;
    publish.message = std::move(made.message);
    publish.source_ip = context.publisher().source_ip;
    publish.hold = context.hold();
    context.worker().publish_later(std::move(publish));
  }
  const auto message = [&] {
    const broker::PublishView& publish = context.publish();
    return keep_message(worker.source.view(), publish.payload, publish.properties, publish.hops);
  };
  if (!firing.has_error_action()) {
    log_failures(firing);
  } else if (!firing.in_memory.empty()) {
    firing.connect_in_memory(message());
  }
  for (Prepared& prepared : firing.in_memory) {
    prepared.queue->push(std::move(prepared.record));
  }
  if (!firing.durable.empty()) {
    const std::uint64_t number = context.worker().turn().number();
    if (worker.committing == nullptr || worker.committing_number != number) {
      worker.committing = new CommittingRecords(worker.engine_is_there);
      worker.committing_number = number;
      context.worker().turn().durable_rows(worker.committing->hold());
    }
    firing.write(
        context.worker().turn().rows(),
        firing.has_error_action() ? message() : record::OutboxMessage()
    );
    worker.committing->add(firing.durable, context);
  } else if (!firing.failures.empty()) {
    fail_all(firing, message(), context, worker);
  }
}

void Engine::log_failures(Firing& firing) {
  for (const record::ActionFailure& failure : std::exchange(firing.failures, {})) {
    if (!log_limit_.allows()) {
      return;
    }
    log(LogLevel::kInfo,
        "action.failed",
        {{"eventType", kRuleExecution},
         {"status", "Failure"},
         {"ruleName", firing.rule()},
         {"ruleAction", failure.action()},
         {"resources", failure.resource()},
         {"error", failure.message()}});
  }
}

// No action went anywhere: the errorAction is next.
void Engine::fail_all(
    Firing& firing,
    record::OutboxMessage message,
    broker::PublishContext& context,
    WorkerState& worker
) {
  const RuleAction& error_action = *firing.error_action();
  if (error_action.calls_external) {
    // What it asks may take its time, which a worker has not: nobody is promised that it is told.
    runner_->post([this,
                   rule = firing.rule(),
                   failed = FailedMessage{std::move(message), std::move(firing.failures)}] {
      firings_.fire_error_action(rule, std::span(&failed, 1), nullptr);
    });
    return;
  }
  const FailedMessage failed{std::move(message), std::move(firing.failures)};
  const std::span<const FailedMessage> one(&failed, 1);
  if (firing.is_durable(error_action)) {
    auto* committing = new CommittingFiring(context.hold(), worker.engine_is_there);
    committing->after = firings_.fire_error_action(
        firing.rule(), one, &context.worker().turn().durable_rows(committing->hold())
    );
  } else {
    firings_.fire_error_action(firing.rule(), one, nullptr);
  }
}

// Evaluated again where it may wait; the answer to the publisher waits for the record of that.
void Engine::defer(
    const LiveRule& live, broker::PublishContext& context, const WorkerState& worker
) {
  const broker::PublishView& publish = context.publish();
  DeferredRules::Item item;
  item.rule = live.rule->definition.name;
  item.message =
      keep_message(worker.source.view(), publish.payload, publish.properties, publish.hops);
  item.is_promised = is_promised(publish);
  if (!item.is_promised) {
    deferred_.push(std::move(item));
    return;
  }
  auto* committing = new CommittingFiring(context.hold(), worker.engine_is_there);
  item.sequence = deferred_.put(context.worker().turn().durable_rows(committing->hold()), item);
  committing->deferred = {&deferred_, std::move(item)};
}

Engine::Engine(
    broker::Broker& broker,
    store::Store& store,
    EngineOptions options,
    std::unique_ptr<SinkRunner> runner
)
    : broker_(broker),
      options_(std::move(options)),
      external_(options_.external, options_.descriptor_folders, broker.clock()),
      metrics_(broker.metrics()),
      not_found_(metrics_.counter(
          "iotcore_rule_not_found_total", "Basic Ingest publishes that named no enabled rule"
      )),
      aws_not_found_(metrics_.counter("aws_iot_rule_not_found_total", "AWS/IoT RuleNotFound")),
      log_limit_(broker.clock()),
      outbox_(store),
      dead_letters_(outbox_, metrics_, broker.clock(), options_.dead_letters),
      rule_metrics_(metrics_, broker.workers().count()),
      traces_(broker.clock()),
      firings_(outbox_, dead_letters_, rule_metrics_, broker.clock()),
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
          environment_of(options_, targets_, functions_.get(), built_ins_, secrets_, broker),
          outbox_,
          *runner_,
          firings_,
          broker.clock(),
          metrics_,
          options_.sink_memory_bytes_max,
          options_.sink_queue_bytes_max
      ),
      rules_(broker, *this),
      deferred_(
          {broker, outbox_, rules_, firings_, traces_, external_, metrics_},
          {.threads = options_.deferred_threads,
           .waiting_max = options_.deferred_waiting_max,
           .limits = options_.limits}
      ),
      catalog_(
          store,
          rules_,
          sinks_,
          targets_,
          rule_metrics_,
          broker.clock(),
          {options_.compile, options_.strict, options_.files_win, options_.rules_max}
      ) {
  for (std::size_t i = 0; i < broker.workers().count(); ++i) {
    workers_.push_back(std::make_unique<WorkerState>(sinks_.spare_records()));
  }
  secrets_.connect(rules_, external_);
  firings_.connect(rules_, external_, broker.options().account, *runner_);
}

Engine::~Engine() {
  rules_.stop();
  deferred_.stop();
  sinks_.stop();
  for (const std::unique_ptr<WorkerState>& worker : workers_) {
    *worker->engine_is_there = false;
  }
  runner_.reset();  // nothing of what follows is in use then
}

Status Engine::load_targets() {
  IOTCORE_ASSIGN(std::vector<Target> targets, checked_targets(options_.targets));
  IOTCORE_TRY(targets_.replace("", std::move(targets)));
  return catalog_.load_targets();
}

Status Engine::set_targets(const std::vector<Target>& targets) {
  IOTCORE_ASSIGN(std::vector<Target> checked, checked_targets(targets));
  return catalog_.apply_configured_targets(std::move(checked));
}

Status Engine::load() {
  IOTCORE_TRY(load_targets());
  IOTCORE_TRY(built_ins_.load());
  IOTCORE_ASSIGN(const std::vector<Outbox::Waiting> waiting, outbox_.open(broker_.clock().wall()));
  IOTCORE_TRY(dead_letters_.load());
  sinks_.resume(waiting);
  IOTCORE_TRY(catalog_.load());
  return deferred_.load();
}

void Engine::start() {
  sinks_.start();
  rules_.start();
  deferred_.start();
  watch_disk(*runner_);
  runner_->post([this, &runner = *runner_] { drop_what_is_old(runner); });
}

void Engine::stop(Duration deadline) {
  rules_.stop();
  deferred_.stop();
  sinks_.hurry();
  const SystemClock clock;  // whatever the broker's says: this waits for threads
  const MonotonicTime until = clock.now() + deadline;
  while (!sinks_.are_drained() && clock.now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  sinks_.stop();
}

void Engine::rule_not_found(
    const broker::BasicIngestTopic& topic, broker::PublishContext& context
) {
  not_found_.add_shared();
  aws_not_found_.add_shared();
  if (log_enabled(LogLevel::kDebug)) {
    WorkerState& worker = *workers_[index(context.worker().id())];
    read_source(worker, topic.topic, context);
    log_not_found(worker.source.view(), topic.rule);
  }
}

void Engine::read_source(
    WorkerState& worker, std::string_view topic, const broker::PublishContext& context
) const {
  worker.source.read(
      topic,
      context.publisher(),
      context.publish(),
      worker.next_trace_id(),
      broker_.options().account,
      to_epoch_ms(broker_.clock().wall())
  );
}

void Engine::execute(
    std::span<const LiveRuleRef> rules, std::string_view topic, broker::PublishContext& context
) {
  const WorkerId id = context.worker().id();
  WorkerState& worker = *workers_[index(id)];
  const broker::PublishView& publish = context.publish();
  worker.payload.reset(publish.payload);
  read_source(worker, topic, context);
  for (const LiveRuleRef& live : rules) {
    live->metrics->matched(id);
    if (log_enabled(LogLevel::kDebug)) [[unlikely]] {
      log_match(worker.source.view(), live->rule->definition.name);
    }
    run(*live, context, worker);
  }
}

void Engine::run(const LiveRule& live, broker::PublishContext& context, WorkerState& worker) {
  const Rule& rule = *live.rule;
  const broker::PublishView& publish = context.publish();
  tracing::Scope span("rule");
  UnreachedFunctions unreached(external_.decoder());
  sql::Evaluation evaluation(
      rule.program, worker.source.view(), worker.payload, unreached, worker.random, options_.limits
  );
  evaluation.set_withholding(!rule.publishes());
  const Result<std::optional<sql::Output>> output = evaluation.run();
  if (worker.payload.is_malformed()) [[unlikely]] {
    live.metrics->payload_not_json();
  }
  if (unreached.were_reached() || (output && *output && rule.templates_call_external())) {
    defer(live, context, worker);
    return;
  }
  if (span.is_on()) [[unlikely]] {
    describe_evaluation(span, rule.definition.name, output);
  }
  std::optional<TraceEvent> trace =
      traces_.begin(rule.definition.name, worker.source.view(), publish.payload);
  if (!output) {
    live.metrics->failed(output.error().name());
    if (log_limit_.allows()) {
      log_rule_event(
          LogLevel::kWarn,
          "rule.failed",
          kFunctionExecution,
          worker.source.view(),
          rule.definition.name,
          output.error().message()
      );
    }
  } else if (*output) {
    live.metrics->fired(context.worker().id());
    Firing firing(
        live,
        {worker.source.view(), publish.hops, is_promised(publish)},
        trace ? &*trace : nullptr,
        &worker.records
    );
    firing.resolve({evaluation, (*output)->view(), (*output)->is_json()});
    send(firing, context, worker);
  }
  traces_.end(rule.definition.name, std::move(trace), output, evaluation.secret_mark());
}

}  // namespace iotcore::rules
