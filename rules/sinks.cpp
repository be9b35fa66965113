#include "rules/sinks.h"

#include "base/log.h"
#include "rules/bindings.h"
#include "rules/record_secrets.h"
#include "rules/rule.h"

#include <algorithm>
#include <utility>

namespace iotcore::rules {
namespace {

QueueOptions with(QueueOptions options, const DeliveryOptions& given) {
  options.batch_size = given.batch_size.value_or(options.batch_size);
  options.batch_bytes = given.batch_bytes.value_or(options.batch_bytes);
  options.linger = given.linger.value_or(options.linger);
  options.retry_base = given.retry_base.value_or(options.retry_base);
  options.retry_max = given.retry_max.value_or(options.retry_max);
  options.bytes_max = given.bytes_max.value_or(options.bytes_max);
  options.on_full = given.on_full.value_or(options.on_full);
  return options;
}

}  // namespace

Sinks::Sinks(
    SinkEnvironment environment,
    Outbox& outbox,
    SinkRunner& runner,
    RecordEnds& ends,
    const Clock& clock,
    Metrics& metrics,
    std::size_t memory_bytes_max,
    std::size_t queue_bytes_max
)
    : environment_(std::move(environment)),
      outbox_(outbox),
      runner_(runner),
      ends_(ends),
      clock_(clock),
      metrics_(metrics),
      queue_bytes_max_(queue_bytes_max),
      memory_(memory_bytes_max) {}

SinkEnvironment Sinks::environment_for(std::string_view sink) const {
  SinkEnvironment environment = environment_;
  // Each lane has sequences of its own, and so has what finds its target when it is delivered.
  const std::string_view kind = sink.substr(0, sink.find(' '));
  environment.lane = kind.substr(kind_name_of_sink(kind).size());
  if (target_of_sink_id(sink) == kBoundByRecord) {
    environment.lane += "-any";  // to the same targets as others of this kind
  }
  environment.outbox_id = outbox_.id() + environment.lane;
  return environment;
}

Result<std::unique_ptr<Sink>> Sinks::made_for(const std::string& sink) const {
  IOTCORE_ASSIGN(std::unique_ptr<Sink> made, make_sink(sink, environment_for(sink)));
  return environment_.secrets == nullptr
             ? std::move(made)
             : std::make_unique<SecretSink>(std::move(made), *environment_.secrets);
}

Result<SinkQueue*> Sinks::find_or_make(const std::string& sink) {
  const auto found = queues_.find(sink);
  if (found != queues_.end() && found->second->has_sink()) {
    return found->second.get();
  }
  IOTCORE_ASSIGN(std::unique_ptr<Sink> made, made_for(sink));
  if (found != queues_.end()) {
    found->second->set_sink(std::move(made));
    return found->second.get();
  }
  return &make_queue(sink, std::move(made));
}

SinkQueue& Sinks::make_queue(const std::string& sink, std::unique_ptr<Sink> made) {
  const SinkDefaults& defaults = kind_of_sink(sink)->defaults;
  QueueOptions options;
  options.batch_size = defaults.batch_size;
  options.batch_bytes = defaults.batch_bytes;
  options.linger = defaults.linger;
  options.bytes_max = queue_bytes_max_;
  auto queue = std::make_unique<SinkQueue>(
      sink, std::move(made), options, outbox_, runner_, ends_, memory_, clock_, metrics_
  );
  return *queues_.emplace(sink, std::move(queue)).first->second;
}

Result<SinkQueue*> Sinks::open(const std::string& sink, const DeliveryOptions& options) {
  const std::lock_guard lock(mutex_);
  const bool is_new = !queues_.contains(sink);
  IOTCORE_ASSIGN(SinkQueue * queue, find_or_make(sink));
  queue->set_options(with(queue->options(), options));
  if (is_new && started_) {
    queue->start();
  }
  return queue;
}

void Sinks::resume(const std::vector<Outbox::Waiting>& waiting) {
  const std::lock_guard lock(mutex_);
  for (const Outbox::Waiting& one : waiting) {
    Result<SinkQueue*> queue = find_or_make(one.sink);
    if (!queue) {
      log(LogLevel::kError,
          "outbox.unknown_sink",
          {{"sink", one.sink}, {"error", queue.error().message()}});
      if (kind_of_sink(one.sink) == nullptr) {
        continue;
      }
      queue = &make_queue(one.sink, nullptr);
    }
    (*queue)->resume(one.cursor);
  }
}

void Sinks::targets_changed(const std::set<std::string, std::less<>>& names) {
  const std::lock_guard lock(mutex_);
  for (const auto& [sink, queue] : queues_) {
    if (!names.contains(target_of_sink_id(sink))) {
      continue;
    }
    Result<std::unique_ptr<Sink>> made = made_for(sink);
    if (made) {
      queue->set_sink(std::move(*made));
    } else if (targets_known_) {
      queue->abandon(made.error().message());
    } else {
      queue->set_sink(nullptr);
    }
  }
}

void Sinks::targets_known() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(targets_known_, true)) {
    return;
  }
  for (const auto& [sink, queue] : queues_) {
    if (queue->has_sink()) {
      continue;
    }
    Result<std::unique_ptr<Sink>> made = made_for(sink);
    if (made) {
      queue->set_sink(std::move(*made));
    } else {
      log(LogLevel::kWarn, "outbox.target_gone", {{"sink", sink}, {"error", made.error().message()}}
      );
      queue->abandon(made.error().message());
    }
  }
}

void Sinks::start() {
  const std::lock_guard lock(mutex_);
  started_ = true;
  for (const auto& [sink, queue] : queues_) {
    queue->start();
  }
}

void Sinks::stop() {
  const std::lock_guard lock(mutex_);
  started_ = false;
  for (const auto& [sink, queue] : queues_) {
    queue->stop();
  }
}

void Sinks::hurry() {
  const std::lock_guard lock(mutex_);
  for (const auto& [sink, queue] : queues_) {
    queue->hurry();
  }
}

bool Sinks::are_drained() const {
  const std::lock_guard lock(mutex_);
  for (const auto& [sink, queue] : queues_) {
    if (!queue->is_drained()) {
      return false;
    }
  }
  return true;
}

std::vector<SinkQueue::State> Sinks::states() const {
  const std::lock_guard lock(mutex_);
  std::vector<SinkQueue::State> states;
  states.reserve(queues_.size());
  for (const auto& [sink, queue] : queues_) {
    states.push_back(queue->state());
  }
  return states;
}

}  // namespace iotcore::rules
