#include "rules/sink_queue.h"

#include "base/log.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace iotcore::rules {
namespace {

constexpr std::size_t kStepsAtOnce = 16;
constexpr std::size_t kRefillRecords = 2000;

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

std::uint64_t SinkQueue::next_sequence(store::Batch& batch) {
  if (!cursor_written_.load(std::memory_order_relaxed)) [[unlikely]] {
    // Each worker may write it once: only when a commit has been made is it known to be there.
    record::OutboxCursor cursor;
    cursor.set_first(0);
    Outbox::put_cursor(batch, id_, cursor);
  }
  return outbox_.first_sequence() + counter_.fetch_add(1, std::memory_order_relaxed);
}

void SinkQueue::count(const Record& record, std::int64_t sign) {
  const std::int64_t bytes = sign * static_cast<std::int64_t>(record.size_bytes());
  records_.fetch_add(sign, std::memory_order_relaxed);
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (!record.is_durable()) {
    volatile_records_.fetch_add(sign);
  }
  metrics_.records.add(sign);
  metrics_.bytes.add(bytes);
}

bool SinkQueue::is_over() const {
  return bytes_.load(std::memory_order_relaxed) >=
         static_cast<std::int64_t>(bytes_max_.load(std::memory_order_relaxed));
}

bool SinkQueue::is_full() const {
  return outbox_.is_disk_low() || is_over();
}

void SinkQueue::push(std::unique_ptr<Record> record) {
  const bool memory_full = memory_.is_full();
  if (!record->is_durable() &&
      (memory_full || (is_over() && on_full_.load(std::memory_order_relaxed) == OnFull::kBlock))) {
    metrics_.dropped.add_shared();
    store::Batch none;
    const Function<void()> after = ends_.on_end(
        id_,
        *record,
        {RecordEnd::Kind::kDropped, "the queue is full", RecordEnd::Cause::kQueueFull},
        none
    );
    IOTCORE_CHECK(!after);
    return;
  }
  record->queued_at = clock_.now();
  count(*record, 1);
  if (record->is_durable()) {
    cursor_written_.store(true, std::memory_order_relaxed);
    if (memory_full || spilling_.load()) {
      const std::lock_guard lock(shared_);
      spilled_.add(record->sequence);
      spilling_ = true;
      record.reset();
    }
  }
  if (record) {
    memory_.take(record->size_bytes());
    Record* added = record.release();
    added->next = inbox_.load(std::memory_order_relaxed);
    while (!inbox_.compare_exchange_weak(
        added->next, added, std::memory_order_release, std::memory_order_relaxed
    )) {
    }
  }
  wake();
}

void SinkQueue::hold_while_full(broker::PendingAck::Hold hold) {
  if (!hold || on_full_.load(std::memory_order_relaxed) != OnFull::kBlock || !is_full()) {
    hold.release();
    return;
  }
  {
    const std::lock_guard lock(shared_);
    holds_.push_back(std::move(hold));
  }
  holding_ = true;
  wake();  // it may have run empty in between
}

void SinkQueue::release_holds() {
  // With little room on the disk, publishers go on at the pace of the sink.
  const auto low =
      outbox_.is_disk_low() ? 0 : static_cast<std::int64_t>(now_options_.bytes_max / 2);
  if (!holding_.load(std::memory_order_relaxed) || bytes_.load() > low) {
    return;
  }
  std::vector<broker::PendingAck::Hold> released;
  holding_ = false;
  {
    const std::lock_guard lock(shared_);
    released.swap(holds_);
  }
  for (broker::PendingAck::Hold& hold : released) {
    hold.release();
  }
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
  const MonotonicTime now = clock_.now();
  if (timer_at_ <= now) {
    timer_at_ = MonotonicTime::max();
  }
  bool from_aside = false;
  std::vector<std::unique_ptr<Record>> batch = take_batch(now, from_aside);
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
  for (const std::unique_ptr<Record>& record : aside_) {
    look_at(*record);
  }
  *oldest_ms_ = oldest_ms == std::numeric_limits<std::int64_t>::max() ? 0 : oldest_ms;
}

void SinkQueue::take_inbox() {
  Record* newest = inbox_.exchange(nullptr, std::memory_order_acquire);
  Record* oldest = nullptr;
  while (newest != nullptr) {
    Record* next = newest->next;
    newest->next = oldest;
    oldest = std::exchange(newest, next);
  }
  while (oldest != nullptr) {
    Record* next = oldest->next;
    pending_.emplace_back(oldest);
    oldest = next;
  }
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

void SinkQueue::refill() {
  if (!spilling_.load() || pending_.size() >= kRefillRecords / 2) {
    return;
  }
  SequenceRange range;
  {
    const std::lock_guard lock(shared_);
    if (spilled_.empty()) {
      spilling_ = false;
      return;
    }
    range = spilled_.front();
  }
  // What one publisher pushed before it spilled is in the inbox by now, and goes first.
  take_inbox();
  std::uint64_t next = range.first;
  std::vector<std::uint64_t> broken;
  auto read = outbox_.read(id_, range, kRefillRecords, next, broken);
  if (!read) {
    note_result(is_up_, "outbox: " + read.error().message());
    wake_at(clock_.now() + std::chrono::seconds(1));
    return;
  }
  const std::uint64_t this_run = outbox_.first_sequence();
  for (std::unique_ptr<Record>& record : *read) {
    record->queued_at = clock_.now();
    const std::size_t bytes = record->size_bytes();
    memory_.take(bytes);
    if (record->sequence < this_run) {
      ++earlier_records_;
      // Counted already by the cursor, as far as it knew.
      count(*record, 1);
      const std::int64_t one = std::min<std::int64_t>(resumed_records_, 1);
      const std::int64_t its = std::min(resumed_bytes_, static_cast<std::int64_t>(bytes));
      resumed_records_ -= one;
      resumed_bytes_ -= its;
      records_ -= one;
      bytes_ -= its;
      metrics_.records.add(-one);
      metrics_.bytes.add(-its);
    }
    pending_.push_back(std::move(record));
  }
  if (range.first < this_run && next >= this_run) {
    records_ -= std::exchange(resumed_records_, 0);
    bytes_ -= std::exchange(resumed_bytes_, 0);
    metrics_.records.set(records_.load());
    metrics_.bytes.set(bytes_.load());
  }
  const std::lock_guard lock(shared_);
  spilled_.erase_below(next);
  if (spilled_.empty()) {
    spilling_ = false;
  }
}

std::vector<std::unique_ptr<Record>> SinkQueue::take_batch(MonotonicTime now, bool& from_aside) {
  std::vector<std::unique_ptr<Record>> batch;
  for (auto record = aside_.begin(); record != aside_.end(); ++record) {
    if ((*record)->not_before <= now) {
      from_aside = true;
      batch.push_back(std::move(*record));
      aside_.erase(record);
      return batch;
    }
    wake_at((*record)->not_before);
  }
  if (pending_.empty()) {
    return batch;
  }
  if (now < not_before_) {
    wake_at(not_before_);
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
  sink_->deliver(records, outcomes);

  Delivered all;
  all.alone = batch.size() == 1;
  std::vector<std::unique_ptr<Record>> failed;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Outcome& outcome = outcomes[i];
    if (outcome.kind == Outcome::Kind::kRetry && outcome.is_own) {
      all.any = true;
      retry_alone(std::move(batch[i]), outcome);
      continue;
    }
    if (outcome.kind == Outcome::Kind::kRetry) {
      all.reason = std::move(outcome.reason);
      all.retry_after = std::max(all.retry_after, outcome.retry_after);
      failed.push_back(std::move(batch[i]));
      continue;
    }
    all.any = true;
    memory_.give_back(batch[i]->size_bytes());
    const bool delivered = outcome.kind == Outcome::Kind::kDelivered;
    end(std::move(batch[i]),
        {delivered ? RecordEnd::Kind::kDelivered : RecordEnd::Kind::kFailed,
         std::move(outcome.reason),
         RecordEnd::Cause::kRefused});
  }
  if (alone_left_ > 0 && !from_aside) {
    --alone_left_;
  }
  if (!failed.empty()) {
    retry(std::move(failed), all, from_aside);
  }
  if (all.any) {
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
  Function<void()> after = ends_.on_end(id_, *record, end, ended_);
  if (after) {
    after_commit_.push_back(std::move(after));
  }
  if (record->is_durable()) {
    ended_sequences_.push_back(record->sequence);
    earlier_records_ -= record->sequence < outbox_.first_sequence() ? 1 : 0;
  }
  count(*record, -1);
}

std::uint64_t SinkQueue::first_waiting() const {
  // Of this run no number can be given: one that is taken may not have been pushed yet.
  const std::uint64_t this_run = outbox_.first_sequence();
  const std::lock_guard lock(shared_);
  const bool unread = !spilled_.empty() && spilled_.front().first < this_run;
  return unread || earlier_records_ > 0 ? earlier_first_ : this_run;
}

void SinkQueue::commit_ends() {
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
