// How records come into a queue: from workers, and from the store those that there was no room for.
#include "rules/sink_queue.h"

#include <algorithm>
#include <utility>

namespace iotcore::rules {
namespace {

constexpr std::size_t kRefillRecords = 2000;

}  // namespace

std::uint64_t SinkQueue::next_sequence(store::Batch& batch) {
  if (!cursor_written_.load(std::memory_order_relaxed)) [[unlikely]] {
    // Each worker may write it once: only when a commit has been made is it known to be there.
    record::OutboxCursor cursor;
    cursor.set_first(0);
    Outbox::put_cursor(batch, id_, cursor);
  }
  return outbox_.first_sequence() + counter_.fetch_add(1, std::memory_order_relaxed);
}

void SinkQueue::count(std::int64_t records, std::int64_t bytes) {
  records_.fetch_add(records, std::memory_order_relaxed);
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  metrics_.records.add(records);
  metrics_.bytes.add(bytes);
}

bool SinkQueue::admits(Record& record, bool memory_full) {
  if (!memory_full && (!is_over() || on_full_.load(std::memory_order_relaxed) != OnFull::kBlock)) {
    return true;
  }
  metrics_.dropped.add_shared();
  store::Batch none;
  const Function<void()> after = ends_.on_end(
      id_,
      record,
      {RecordEnd::Kind::kDropped, "the queue is full", RecordEnd::Cause::kQueueFull},
      none
  );
  IOTCORE_CHECK(!after);
  return false;
}

void SinkQueue::push_all(std::span<std::unique_ptr<Record>> records) {
  const bool memory_full = memory_.is_full();
  // For all of them or none: what spills is read only after what one publisher pushed before is in the inbox.
  const bool spills = memory_full || spilling_.load();
  const MonotonicTime now = clock_.now();
  Record* newest = nullptr;
  Record* oldest = nullptr;
  std::int64_t pushed = 0;
  std::int64_t bytes = 0;
  std::size_t bytes_in_memory = 0;
  std::vector<std::uint64_t> spilled;
  bool any_durable = false;
  for (std::unique_ptr<Record>& record : records) {
    const bool is_durable = record->is_durable();
    if (!is_durable && !admits(*record, memory_full)) {
      record.reset();
      continue;
    }
    const std::size_t size = record->size_bytes();
    ++pushed;
    bytes += static_cast<std::int64_t>(size);
    any_durable = any_durable || is_durable;
    if (!is_durable) {
      volatile_records_.fetch_add(1);
    } else if (spills) {
      spilled.push_back(record->sequence);
      record.reset();
      continue;
    }
    bytes_in_memory += size;
    record->queued_at = now;
    record->next = newest;
    newest = record.release();
    oldest = oldest == nullptr ? newest : oldest;
  }
  if (pushed == 0) {
    return;
  }
  count(pushed, bytes);
  memory_.take(bytes_in_memory);
  if (any_durable) {
    cursor_written_.store(true, std::memory_order_relaxed);
  }
  if (!spilled.empty()) {
    const std::lock_guard lock(shared_);
    for (const std::uint64_t sequence : spilled) {
      spilled_.add(sequence);
    }
    spilling_ = true;
  }
  if (newest != nullptr) {
    oldest->next = inbox_.load(std::memory_order_relaxed);
    while (!inbox_.compare_exchange_weak(
        oldest->next, newest, std::memory_order_release, std::memory_order_relaxed
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

void SinkQueue::refill() {
  // Those that are set aside are in memory too, and others' turn comes when they have ended.
  const bool has_no_room = memory_.is_full() && aside_.size() >= kRefillRecords;
  if (!spilling_.load() || pending_.size() >= kRefillRecords / 2 || has_no_room) {
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
  auto read = outbox_.read(id_, range, kRefillRecords, next);
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
      count(1, static_cast<std::int64_t>(bytes));
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

}  // namespace iotcore::rules
