#include "rules/sink_queue.h"

#include "base/log.h"
#include "rules/delivery_spans.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace iotcore::rules {
namespace {

constexpr std::size_t kStepsAtOnce = 16;

}  // namespace

SinkQueue::SinkQueue(
    std::string id,
    std::unique_ptr<Sink> sink,
    QueueOptions options,
    Outbox& outbox,
    SinkRunner& runner,
    RecordEnds& ends,
    MemoryBudget& memory,
    const Clock& clock,
    Metrics& metrics
)
    : id_(std::move(id)),
      outbox_(outbox),
      runner_(runner),
      gate_(std::make_shared<RunnerGate>(runner)),
      ends_(ends),
      memory_(memory),
      clock_(clock),
      metrics_(metrics, id_),
      bytes_max_(options.bytes_max),
      on_full_(options.on_full),
      oldest_ms_(std::make_shared<std::atomic<std::int64_t>>(0)),
      options_(options),
      has_sink_(sink != nullptr),
      sink_(std::move(sink)),
      now_options_(options) {
  metrics_.up.set(1);
  QueueMetrics::show_oldest(metrics, id_, oldest_ms_, clock_);
}

SinkQueue::~SinkQueue() {
  gate_->close();
  for (Record* record = inbox_.exchange(nullptr); record != nullptr;) {
    delete std::exchange(record, record->next);
  }
}

bool SinkQueue::is_over() const {
  return bytes_.load(std::memory_order_relaxed) >=
         static_cast<std::int64_t>(bytes_max_.load(std::memory_order_relaxed));
}

bool SinkQueue::is_full() const {
  return outbox_.is_disk_low() || is_over();
}

void SinkQueue::resume(const record::OutboxCursor& cursor) {
  cursor_written_ = true;
  earlier_first_ = cursor.first();
  resumed_records_ = static_cast<std::int64_t>(cursor.records());
  resumed_bytes_ = static_cast<std::int64_t>(cursor.bytes());
  records_ += resumed_records_;
  bytes_ += resumed_bytes_;
  metrics_.records.add(resumed_records_);
  metrics_.bytes.add(resumed_bytes_);
  const std::lock_guard lock(shared_);
  spilled_.add(SequenceRange{cursor.first(), outbox_.first_sequence()});
  spilling_ = true;
}

void SinkQueue::start() {
  running_ = true;
  wake();
}

void SinkQueue::stop() {
  running_ = false;
  gate_->close();
}

void SinkQueue::hurry() {
  hurry_ = true;
  wake();
}

void SinkQueue::set_options(const QueueOptions& options) {
  bytes_max_ = options.bytes_max;
  on_full_ = options.on_full;
  const std::lock_guard lock(shared_);
  options_ = options;
}

void SinkQueue::set_sink(std::unique_ptr<Sink> sink) {
  {
    const std::lock_guard lock(shared_);
    has_sink_ = sink != nullptr;
    next_sink_ = std::move(sink);
    has_next_sink_ = true;
    abandoned_.clear();
  }
  wake();
}

void SinkQueue::abandon(std::string why) {
  {
    const std::lock_guard lock(shared_);
    has_sink_ = false;
    next_sink_.reset();
    has_next_sink_ = true;
    abandoned_ = std::move(why);
  }
  wake();
}

bool SinkQueue::has_sink() const {
  const std::lock_guard lock(shared_);
  return has_sink_;
}

QueueOptions SinkQueue::options() const {
  const std::lock_guard lock(shared_);
  return options_;
}

SinkQueue::State SinkQueue::state() const {
  const std::int64_t oldest_ms = oldest_ms_->load();
  const std::lock_guard lock(shared_);
  State state;
  state.sink = id_;
  state.up = is_up_;
  state.records = static_cast<std::uint64_t>(std::max<std::int64_t>(0, records_.load()));
  state.bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, bytes_.load()));
  if (oldest_ms != 0) {
    const std::int64_t age_ms = to_epoch_ms(clock_.wall()) - oldest_ms;
    state.oldest = std::chrono::milliseconds(std::max<std::int64_t>(0, age_ms));
  }
  state.last_error = last_error_;
  return state;
}

void SinkQueue::wake() {
  wakeups_.fetch_add(1);
  if (running_.load() && !scheduled_.exchange(true)) {
    runner_.post([this] { run(); });
  }
}

void SinkQueue::wake_at(MonotonicTime at) {
  if (at >= timer_at_) {
    return;  // an earlier one is set
  }
  timer_at_ = at;
  runner_.post_at(at, [this] { wake(); });
}

void SinkQueue::run() {
  for (std::size_t i = 0; i < kStepsAtOnce; ++i) {
    const std::uint64_t seen = wakeups_.load();
    if (!running_.load()) {
      scheduled_ = false;
      return;
    }
    if (step()) {
      continue;
    }
    scheduled_ = false;
    if (wakeups_.load() == seen || scheduled_.exchange(true)) {
      return;
    }
  }
  runner_.post([this] { run(); });  // others want a turn
}

void SinkQueue::take_sink() {
  std::unique_ptr<Sink> old;  // closed without the lock
  const std::lock_guard lock(shared_);
  if (!std::exchange(has_next_sink_, false)) {
    return;
  }
  old = std::exchange(sink_, std::move(next_sink_));
  now_abandoned_ = abandoned_;
  // What was wrong with the old one says nothing of this.
  failures_in_row_ = 0;
  alone_left_ = 0;
  not_before_ = {};
}

bool SinkQueue::step() {
  if (timer_at_ <= clock_.now()) {
    timer_at_ = MonotonicTime::max();
  }
  now_options_ = options();
  take_sink();
  take_inbox();
  refill();
  drop_what_is_too_much();
  if (sink_ == nullptr) {
    const bool failed_some = !now_abandoned_.empty() && fail_some(now_abandoned_);
    note_oldest({});
    note_result(false, now_abandoned_.empty() ? "its target is not known" : now_abandoned_);
    commit_ends();
    release_holds();
    return failed_some;
  }
  bool from_aside = false;
  std::vector<std::unique_ptr<Record>> batch = take_batch(clock_.now(), from_aside);
  const bool worked = !batch.empty();
  note_oldest(batch);
  if (worked) {
    deliver(std::move(batch), from_aside);
    note_oldest({});
  }
  commit_ends();
  release_holds();
  return worked;
}

void SinkQueue::note_oldest(const std::vector<std::unique_ptr<Record>>& batch) {
  metrics_.aside.set(static_cast<std::int64_t>(aside_.size()));
  std::int64_t oldest_ms = std::numeric_limits<std::int64_t>::max();
  const auto look_at = [&oldest_ms](const Record& record) {
    oldest_ms = std::min(oldest_ms, record.received_ms);
  };
  if (!batch.empty()) {
    look_at(*batch.front());
  }
  if (!pending_.empty()) {
    look_at(*pending_.front());
  }
  for (const auto& [not_before, record] : aside_) {
    look_at(*record);
  }
  *oldest_ms_ = oldest_ms == std::numeric_limits<std::int64_t>::max() ? 0 : oldest_ms;
}

void SinkQueue::drop_what_is_too_much() {
  const OnFull on_full = now_options_.on_full;
  while (on_full != OnFull::kBlock && is_full() && pending_.size() > 1) {
    std::unique_ptr<Record> dropped;
    if (on_full == OnFull::kDropNew) {
      dropped = std::move(pending_.back());
      pending_.pop_back();
    } else {
      dropped = std::move(pending_.front());
      pending_.pop_front();
    }
    metrics_.dropped.add_shared();
    memory_.give_back(dropped->size_bytes());
    end(std::move(dropped),
        {RecordEnd::Kind::kFailed, "the queue is full", RecordEnd::Cause::kQueueFull});
  }
}

std::vector<std::unique_ptr<Record>> SinkQueue::take_batch(MonotonicTime now, bool& from_aside) {
  std::vector<std::unique_ptr<Record>> batch;
  if (now < not_before_ && !(pending_.empty() && aside_.empty())) {
    wake_at(not_before_);
    return batch;
  }
  if (const bool is_due = !aside_.empty() && aside_.begin()->first <= now;
      !is_due || aside_had_its_turn_) {
    aside_had_its_turn_ = false;
    batch = take_pending(now);
    if (!batch.empty() || aside_.empty()) {
      return batch;
    }
    if (!is_due) {
      wake_at(aside_.begin()->first);
      return batch;
    }
  }
  aside_had_its_turn_ = true;
  from_aside = true;
  batch.push_back(std::move(aside_.begin()->second));
  aside_.erase(aside_.begin());
  return batch;
}

std::vector<std::unique_ptr<Record>> SinkQueue::take_pending(MonotonicTime now) {
  std::vector<std::unique_ptr<Record>> batch;
  if (pending_.empty()) {
    return batch;
  }
  const std::size_t records_max = alone_left_ > 0 ? 1 : now_options_.batch_size;
  const MonotonicTime complete_at = pending_.front()->queued_at + now_options_.linger;
  if (pending_.size() < records_max && now < complete_at && !hurry_.load()) {
    wake_at(complete_at);
    return batch;
  }
  std::size_t bytes = 0;
  while (!pending_.empty() && batch.size() < records_max) {
    bytes += pending_.front()->payload.size();
    if (!batch.empty() && bytes > now_options_.batch_bytes) {
      break;
    }
    batch.push_back(std::move(pending_.front()));
    pending_.pop_front();
  }
  return batch;
}

void SinkQueue::deliver(std::vector<std::unique_ptr<Record>> batch, bool from_aside) {
  if (failures_in_row_ >= kFailuresUntilDown) {
    if (const Status up = sink_->probe(); !up) {
      ++failures_in_row_;
      note_result(false, up.error().message());
      put_back(without_too_old(std::move(batch), up.error().message()));
      back_off({});
      return;
    }
  }
  std::vector<const Record*> records;
  records.reserve(batch.size());
  for (const std::unique_ptr<Record>& record : batch) {
    records.push_back(record.get());
  }
  std::vector<Outcome> outcomes(batch.size());
  metrics_.batches.add();
  metrics_.batch_records.add(batch.size());
  {
    const DeliverySpans spans(id_, records, outcomes);
    sink_->deliver(records, outcomes);
  }

  Delivered all;
  all.alone = batch.size() == 1;
  std::vector<std::unique_ptr<Record>> delivered;
  delivered.reserve(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Outcome& outcome = outcomes[i];
    if (outcome.kind == Outcome::Kind::kDelivered && !batch[i]->firing &&
        batch[i]->message_id.empty()) {
      delivered.push_back(std::move(batch[i]));
      continue;
    }
    batch[i]->request = outcome.request;
    if (outcome.kind == Outcome::Kind::kRetry && outcome.is_own) {
      all.any = true;
      retry_alone(std::move(batch[i]), outcome);
      continue;
    }
    if (outcome.kind == Outcome::Kind::kRetry) {
      all.reason = std::move(outcome.reason);
      all.retry_after = std::max(all.retry_after, outcome.retry_after);
      (outcome.is_tried ? all.failed : all.behind).push_back(std::move(batch[i]));
      continue;
    }
    all.any = true;
    memory_.give_back(batch[i]->size_bytes());
    const bool is_delivered = outcome.kind == Outcome::Kind::kDelivered;
    end(std::move(batch[i]),
        {is_delivered ? RecordEnd::Kind::kDelivered : RecordEnd::Kind::kFailed,
         std::move(outcome.reason),
         RecordEnd::Cause::kRefused});
  }
  all.any = all.any || !delivered.empty();
  end_delivered(std::move(delivered));
  if (alone_left_ > 0 && !from_aside) {
    --alone_left_;
  }
  const bool any = all.any;
  if (!all.failed.empty() || !all.behind.empty()) {
    retry(std::move(all), from_aside);
  }
  if (any) {
    failures_in_row_ = 0;
    note_result(true, "");
    if (not_before_ <= clock_.now()) {
      not_before_ = {};
    }
  }
}

void SinkQueue::note_result(bool up, const std::string& reason) {
  const std::lock_guard lock(shared_);
  if (!reason.empty()) {
    last_error_ = reason;
  }
  if (is_up_ == up) {
    return;
  }
  is_up_ = up;
  metrics_.up.set(up ? 1 : 0);
  log(up ? LogLevel::kInfo : LogLevel::kWarn,
      up ? "sink.up" : "sink.down",
      {{"sink", id_}, {"error", reason}});
}

void SinkQueue::end(std::unique_ptr<Record> record, const RecordEnd& end) {
  has_requests_ended_ = has_requests_ended_ || record->request != 0;
  Function<void()> after = ends_.on_end(id_, *record, end, ended_);
  if (after) {
    after_commit_.push_back(std::move(after));
  }
  note_ended(*record);
  count(-1, -static_cast<std::int64_t>(record->size_bytes()));
}

void SinkQueue::note_ended(const Record& record) {
  if (!record.is_durable()) {
    volatile_records_.fetch_sub(1);
    return;
  }
  ended_sequences_.push_back(record.sequence);
  earlier_records_ -= record.sequence < outbox_.first_sequence() ? 1 : 0;
}

void SinkQueue::end_delivered(std::vector<std::unique_ptr<Record>> records) {
  if (records.empty()) {
    return;
  }
  ends_.on_delivered(id_, records);
  std::size_t bytes = 0;
  for (std::unique_ptr<Record>& record : records) {
    bytes += record->size_bytes();
    note_ended(*record);
    memory_.spare().give(std::move(record));
  }
  memory_.give_back(bytes);
  count(-static_cast<std::int64_t>(records.size()), -static_cast<std::int64_t>(bytes));
}

std::uint64_t SinkQueue::first_waiting() const {
  // Of this run no number can be given: one that is taken may not have been pushed yet.
  const std::uint64_t this_run = outbox_.first_sequence();
  const std::lock_guard lock(shared_);
  const bool unread = !spilled_.empty() && spilled_.front().first < this_run;
  return unread || earlier_records_ > 0 ? earlier_first_ : this_run;
}

void SinkQueue::commit_ends() {
  if (std::exchange(has_requests_ended_, false)) {
    ends_.on_batch_end(id_, ended_, after_commit_);
  }
  if (ended_sequences_.empty() && after_commit_.empty() && ended_.empty()) {
    return;
  }
  if (!ended_sequences_.empty()) {
    Outbox::erase(ended_, id_, std::exchange(ended_sequences_, {}));
    record::OutboxCursor cursor;
    cursor.set_first(first_waiting());
    cursor.set_records(static_cast<std::uint64_t>(std::max<std::int64_t>(0, records_.load())));
    cursor.set_bytes(static_cast<std::uint64_t>(std::max<std::int64_t>(0, bytes_.load())));
    Outbox::put_cursor(ended_, id_, cursor);
  }
  store::Batch batch = std::exchange(ended_, store::Batch());
  if (after_commit_.empty()) {
    // Nobody waits: what is lost of this in a crash is delivered twice.
    outbox_.store().commit(std::move(batch), nullptr, nullptr);
    return;
  }
  outbox_.store().commit(
      std::move(batch),
      nullptr,
      // Also if it failed: what follows is then delivered from memory.
      [gate = gate_, after = std::exchange(after_commit_, {})](Result<store::Revision>) mutable {
        gate->post([after = std::move(after)]() mutable {
          for (Function<void()>& call : after) {
            call();
          }
        });
      }
  );
}

}  // namespace iotcore::rules
