#include "broker/worker_broker.h"

#include "base/crypto.h"
#include "base/log.h"
#include "base/memory_use.h"
#include "base/tracing.h"
#include "broker/client_session.h"
#include "broker/client_traces.h"
#include "broker/consumer_table.h"
#include "broker/housekeeper.h"
#include "broker/reserved_topics.h"
#include "broker/retained.h"
#include "broker/retained_writes.h"
#include "broker/session.h"
#include "broker/stored_sessions.h"
#include "broker/topic_tree.h"
#include "broker/worker_context.h"
#include "broker/worker_sessions.h"
#include "store/store.h"

#include <algorithm>

namespace iotcore::broker {
namespace {

// A rule that republishes into its own filter would never end (rule-actions.md 5, republish).
constexpr std::uint8_t kHopsMax = 8;

thread_local WorkerBroker* current_worker = nullptr;

// Of a topic that is for its rule alone.
const MatchSet kNobody;

// Version numbers of connections grow for ever, also from one run to the next (mqtt.md 10): they begin at the time, with room for a
// million connections a second. Below 2^53, so that every reader of JSON can hold them.
std::uint64_t first_session_number(const Clock& clock) {
  constexpr std::int64_t kSince = 1'700'000'000;
  constexpr unsigned kPerSecondBits = 20;
  const std::int64_t seconds = std::max<std::int64_t>(to_epoch_s(clock.wall()) - kSince, 0);
  return static_cast<std::uint64_t>(seconds) << kPerSecondBits;
}

}  // namespace

WorkerBroker::WorkerBroker(Broker& broker, WorkerId id, TimerWheel& timers)
    : broker_(broker),
      id_(id),
      timers_(timers),
      keep_alives_(timers, broker.clock()),
      subscribers_(broker.tree(), id),
      sessions_(std::make_unique<WorkerSessions>(*this)),
      traces_(std::make_unique<ClientTraces>()),
      cache_(broker.tree(), id, broker.options().topic_cache_entries),
      remote_(broker.workers().count()),
      session_number_(first_session_number(broker.clock())),
      session_id_prefix_(to_hex(random_bytes(8))),
      turn_(*this),
      counters_(broker.metrics(), id),
      limits_(broker.metrics(), id),
      admission_(broker.options(), broker.workers().count()),
      lifeline_(std::make_shared<WorkerLifeline>(*this)),
      housekeeper_(index(id) == 0 ? std::make_unique<Housekeeper>(*this) : nullptr) {}

WorkerBroker::~WorkerBroker() {
  if (current_worker == this) {
    current_worker = nullptr;
  }
  lifeline_->cut();
}

bool WorkerLifeline::post(Function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (worker_ == nullptr) {
    return false;
  }
  worker_->executor().post(std::move(task));
  return true;
}

void WorkerLifeline::cut() {
  const std::lock_guard lock(mutex_);
  worker_ = nullptr;
}

LogLevel WorkerBroker::refusal_log_level() {
  constexpr std::uint64_t kPerSecond = 10;
  return refusals_logged_.try_take(now(), 1, kPerSecond) ? LogLevel::kInfo : LogLevel::kDebug;
}

Executor& WorkerBroker::executor() {
  return broker_.workers().executor(id_);
}

void WorkerBroker::bind_to_thread() {
  current_worker = this;
}

bool WorkerBroker::is_current() const {
  return current_worker == this;
}

WorkerBroker* WorkerBroker::current() {
  return current_worker;
}

std::string WorkerBroker::session_id(std::uint64_t number) const {
  // In the form of a UUID, unique by a random half for the process and worker and a count.
  std::string tail;
  append_u64(tail, number);
  tail = to_hex(tail);
  const std::string& head = session_id_prefix_;
  return head.substr(0, 8) + '-' + head.substr(8, 4) + '-' + head.substr(12) + '-' +
         tail.substr(0, 4) + '-' + tail.substr(4);
}

bool WorkerBroker::has_receivers(std::string_view topic) {
  return !cache_.find(topic, stable_hash(topic)).empty();
}

bool WorkerBroker::retain(Context& context) {
  const PublishView& publish = context.publish();
  const bool full = MemoryUse::level() == MemoryUse::Level::kFull && !publish.payload.empty();
  const Result<bool> kept = full ? Result<bool>(fail(Errc::kQuotaExceeded, "the memory is in use"))
                                 : broker_.retained().set(publish);
  if (!kept) {
    limits_.reached(full ? Limit::kMemory : Limit::kRetained);
    return false;
  }
  if (*kept) {
    write_retained(*this, publish.topic, context.hold());
  }
  return true;
}

PublishResult WorkerBroker::publish(
    const Publisher& publisher, const PublishView& publish, AckSource* acks
) {
  counters_.received.add();
  tracing::Scope span("fan-out");
  PublishResult result;
  Context context(*this, publisher, publish, acks);
  const bool reserved = publish.topic.starts_with('$');
  const bool ingest = reserved && !basic_ingest_topic(publish.topic).rule.empty();
  const std::uint64_t hash = stable_hash(publish.topic);
  const MatchSet& matches = ingest ? kNobody : cache_.find(publish.topic, hash);
  std::optional<ExactlyOnce::Part> own;
  Keeper keeper;
  keeper.context = &context;
  if (publish.qos == mqtt::Qos::kExactlyOnce && acks != nullptr &&
      needs_own_commit(publisher, publish, matches, ingest)) [[unlikely]] {
    context.begin_exactly_once();
    put_in_order(publisher, context.exactly_once);
    own.emplace().worker = id_;
    keeper.exactly_once = &*own;
  }
  if (publish.retain && !reserved) {
    result.retain_refused = !retain(context);
  }
  result.receivers = deliver_to_subscribers(matches, hash, context, keeper);
  if (!publisher.receipt.empty()) {
    (own ? own->rows : context.durable_batch()).put(store::Table::kSessions, publisher.receipt, {});
  }
  if (own) {
    context.exactly_once->add(std::move(*own));  // committed once the others are done
  }
  result.receivers += ingest ? call_basic_ingest(context) : call_consumers(matches, context);
  if (span.is_on()) [[unlikely]] {
    span.set("iotcore.receivers", std::to_string(result.receivers));
  }
  result.deferred = context.deferred();
  if (result.deferred) {
    acks->deferred(result);
  }
  return result;
}

// Sessions here, and those of other workers by way of these.
std::uint32_t WorkerBroker::deliver_to_subscribers(
    const MatchSet& matches, std::uint64_t topic_hash, Context& context, Keeper& keeper
) {
  std::uint32_t receivers = 0;
  std::span<const SlotTarget> here = matches.local;
  if (!matches.group_ends.empty()) {
    target_slots_.assign(matches.local.begin(), matches.local.end());
    receivers += choose_group_workers(matches, context, target_slots_);
    here = target_slots_;
  }
  if (!here.empty()) {
    receivers += deliver_local(
        context.publish(),
        topic_hash,
        context.message_slot(),
        here,
        context.publisher().session,
        keeper
    );
  }
  if (!matches.remote.empty()) {
    receivers += send_to_workers(matches, context);
  }
  return receivers;
}

std::uint32_t WorkerBroker::call_consumers(const MatchSet& matches, Context& context) {
  std::uint32_t called = 0;
  for (const std::uint32_t slot : matches.consumers) {
    for (MessageConsumer* consumer : *broker_.consumers().consumers(slot)) {
      consumer->on_message(context);
      ++called;
    }
  }
  return called;
}

std::uint32_t WorkerBroker::call_basic_ingest(Context& context) {
  MessageConsumer* const consumer = broker_.basic_ingest();
  if (consumer == nullptr) {
    return 0;
  }
  consumer->on_message(context);
  return 1;
}

void WorkerBroker::publish_later(OwnedPublish publish) {
  later_.push_back(std::move(publish));
}

namespace {

// The publish that a hold stands for is acknowledged when the publish it caused is.
class ChainedAck final : public PendingAck, public AckSource {
 public:
  explicit ChainedAck(PendingAck::Hold outer)
      : PendingAck(&ChainedAck::complete), outer_(std::move(outer)) {}

  PendingAck& make() override { return *this; }

  // The publish did not have to be kept.
  void kept() { outer_.release(); }

 private:
  static void complete(PendingAck& self, std::optional<Errc> failure) {
    auto& chained = static_cast<ChainedAck&>(self);
    if (failure) {
      chained.outer_.fail(*failure);
    }
    chained.outer_.release();
    delete &chained;
  }

  PendingAck::Hold outer_;
};

}  // namespace

void WorkerBroker::run_later() {
  while (later_next_ < later_.size()) {
    OwnedPublish next = std::move(later_[later_next_++]);
    const PublishView& view = next.message->view();
    if (view.hops > kHopsMax) {
      counters_.dropped_hops.add();
      next.hold.release();
      log(LogLevel::kWarn, "republish.loop", {{"topic", view.topic}, {"hops", int{view.hops}}});
      continue;
    }
    Publisher publisher;
    publisher.client_id = next.client_id;
    publisher.principal = next.principal;
    publisher.source_ip = next.source_ip;
    if (view.origin == Origin::kWill) {
      // MQTT-3.8.3-3 (5): No Local keeps it from the client that has left it, too, if that is back already.
      publisher.session = sessions_->find_client(next.client_id);
    }
    auto chained = next.hold ? std::make_unique<ChainedAck>(std::move(next.hold)) : nullptr;
    const PublishResult result = publish(publisher, view, chained.get());
    if (chained != nullptr && !result.deferred) {
      chained->kept();
    } else {
      static_cast<void>(chained.release());  // it deletes itself when it is complete
    }
  }
  later_.clear();
  later_next_ = 0;
}

void WorkerBroker::send_remote_batches() {
  for (const WorkerId worker : remote_touched_) {
    RemoteBatch batch = std::exchange(remote_[index(worker)], RemoteBatch{});
    broker_.mailbox_bytes(worker).fetch_add(
        static_cast<std::int64_t>(batch.bytes), std::memory_order_relaxed
    );
    broker_.workers().executor(worker).post([&target = broker_.workers().broker(worker),
                                             batch = std::move(batch)]() mutable {
      target.deliver_remote_batch(batch);
    });
  }
  remote_touched_.clear();
}

Instant WorkerBroker::instant() {
  if (instant_.monotonic != now()) {
    instant_ = {now(), to_epoch_ms(broker_.clock().wall())};
  }
  return instant_;
}

void WorkerBroker::publish_will(
    const WillRecord& will,
    std::string_view client_id,
    std::string_view principal,
    std::string_view source_ip
) {
  OwnedPublish owned;
  owned.message = will.message;
  if (will.expiry_s) {
    // MQTT5 3.1.3.2.4: it counts from the moment when the will is published.
    PublishView view = will.message->view();
    view.has_expiry = true;
    view.expires_at = now() + std::chrono::seconds(*will.expiry_s);
    owned.message = Message::make(view);
  }
  owned.client_id = client_id;
  owned.principal = principal;
  owned.source_ip = source_ip;
  publish_later(std::move(owned));
}

void WorkerBroker::end_turn() {
  if (!later_.empty()) {
    run_later();
  }
  if (sessions_->has_dirty()) {
    sessions_->flush_erased(turn_.rows());
  }
  if (!remote_touched_.empty()) {
    send_remote_batches();
  }
  turn_.commit();
  now_ = {};
}

}  // namespace iotcore::broker
