#pragma once

#include "base/clock.h"
#include "base/metrics.h"
#include "broker/publish_context.h"
#include "rules/backoff.h"
#include "rules/delivery_options.h"
#include "rules/outbox.h"
#include "rules/queue_metrics.h"
#include "rules/sequence_set.h"
#include "rules/sink.h"
#include "rules/sink_runner.h"
#include "rules/spare_records.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace iotcore::rules {

// Memory that records of all queues may take together.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  void take(std::size_t bytes) { bytes_.fetch_add(bytes, std::memory_order_relaxed); }

  void give_back(std::size_t bytes) { bytes_.fetch_sub(bytes, std::memory_order_relaxed); }

  bool is_full() const { return bytes_.load(std::memory_order_relaxed) >= bytes_max_; }

  SpareRecords& spare() { return spare_; }

 private:
  std::size_t bytes_max_;
  std::atomic<std::size_t> bytes_ = 0;
  SpareRecords spare_;
};

// How a record ended.
struct RecordEnd {
  enum class Kind : std::uint8_t {
    kDelivered,
    kFailed,
    kDropped,  // the queue was full and nobody waited for it
  };

  enum class Cause : std::uint8_t { kRefused, kGaveUp, kQueueFull, kTargetGone };

  Kind kind = Kind::kDelivered;
  std::string reason;  // kFailed
  Cause cause = Cause::kRefused;
};

// Hears of the end of every record, on a thread of the runner or the one that pushed.
class RecordEnds {
 public:
  virtual ~RecordEnds() = default;
  // Adds to `batch`, which takes the record out of the outbox, what has to happen together with that. The answer, if any, is called when
  // that is durable.
  virtual Function<void()> on_end(
      const std::string& sink, Record& record, const RecordEnd& end, store::Batch& batch
  ) = 0;
  // The same for what a sink has taken at once and no firing waits for.
  virtual void on_delivered(
      const std::string& sink, std::span<const std::unique_ptr<Record>> records
  ) = 0;

  // After the on_end() of a batch's records, with the same `batch`: what was to be told of several together. Adds to `after` what on_end() would answer.
  virtual void on_batch_end(
      const std::string& /*sink*/, store::Batch& /*batch*/, std::vector<Function<void()>>& /*after*/
  ) {}
};

struct QueueOptions {
  std::size_t batch_size = 100;
  std::size_t batch_bytes = 1U << 20;
  std::chrono::milliseconds linger{0};
  std::chrono::milliseconds retry_base{200};
  std::chrono::milliseconds retry_max{60'000};
  std::size_t bytes_max = std::size_t{4} << 30;
  OnFull on_full = OnFull::kBlock;
};

// What waits for one sink, in order, and its way there: batches, retries, the circuit. Records come from any thread; the rest happens on
// the runner, one step at a time. (rule-actions.md 4)
//
// A durable record is pushed when the commit that holds it is made. When memory is short only its number is kept, and it is read again when
// its turn comes.
class SinkQueue {
 public:
  SinkQueue(
      std::string id,
      std::unique_ptr<Sink> sink,
      QueueOptions options,
      Outbox& outbox,
      SinkRunner& runner,
      RecordEnds& ends,
      MemoryBudget& memory,
      const Clock& clock,
      Metrics& metrics
  );
  ~SinkQueue();
  SinkQueue(const SinkQueue&) = delete;
  SinkQueue& operator=(const SinkQueue&) = delete;

  const std::string& id() const { return id_; }

  // Any thread. A number for a durable record, and the cursor in the same batch if it is the first.
  std::uint64_t next_sequence(store::Batch& batch);

  // Any thread; in the order in which one thread pushes.
  void push(std::unique_ptr<Record> record) { push_all({&record, 1}); }

  void push_all(std::span<std::unique_ptr<Record>> records);
  // Any thread. Keeps an acknowledgement back while the queue is full (OnFull::kBlock).
  void hold_while_full(broker::PendingAck::Hold hold);
  // What earlier runs have left, before start().
  void resume(const record::OutboxCursor& cursor);
  void start();
  // The queue's options; the last one who sets them wins.
  void set_options(const QueueOptions& options);
  // What to deliver to from the next batch on; a queue without a sink waits for one.
  void set_sink(std::unique_ptr<Sink> sink);
  // The target has gone: everything that waits fails with `why`, until there is a sink again.
  void abandon(std::string why);
  bool has_sink() const;

  QueueOptions options() const;

  struct State {
    std::string sink;
    bool up = true;
    std::uint64_t records = 0;
    std::uint64_t bytes = 0;
    std::optional<std::chrono::milliseconds> oldest;  // age of what has waited longest
    std::string last_error;
  };

  // Any thread.
  State state() const;

  // Nothing waits in memory only; what is durable may wait.
  bool is_drained() const { return volatile_records_.load() <= 0; }

  // Lingers no more.
  void hurry();
  // Delivers nothing more; a batch under way is finished.
  void stop();

 private:
  static constexpr std::uint32_t kFailuresUntilDown = 5;
  static constexpr std::uint32_t kStrikesUntilAside = 3;

  // What became of one batch, sorted.
  struct Delivered {
    std::vector<std::unique_ptr<Record>> failed;
    std::vector<std::unique_ptr<Record>> behind;  // not tried, as one before has failed
    bool any = false;  // the sink took something, or said for good that it won't
    bool alone = false;
    Duration retry_after{0};
    std::string reason;
  };

  void wake();
  void wake_at(MonotonicTime at);
  void run();
  // One batch at most. False: nothing to do until the next wake().
  bool step();
  void take_inbox();
  void take_sink();
  // Fails what waits; false: nothing does.
  bool fail_some(const std::string& why);
  void drop_what_is_too_much();
  void refill();
  bool is_over() const;
  // Also for want of disk, which only concerns what is durable.
  bool is_full() const;
  std::vector<std::unique_ptr<Record>> take_batch(MonotonicTime now, bool& from_aside);
  std::vector<std::unique_ptr<Record>> take_pending(MonotonicTime now);
  void deliver(std::vector<std::unique_ptr<Record>> batch, bool from_aside);
  bool may_be_retried(const Record& record, std::string& why_not) const;
  void retry(Delivered all, bool from_aside);
  std::vector<std::unique_ptr<Record>> without_too_old(
      std::vector<std::unique_ptr<Record>> batch, const std::string& reason
  );
  void set_aside(std::unique_ptr<Record> record, Duration at_least = {});
  void retry_alone(std::unique_ptr<Record> record, const Outcome& outcome);
  void put_back(std::vector<std::unique_ptr<Record>> records);
  void back_off(Duration at_least);
  void end(std::unique_ptr<Record> record, const RecordEnd& end);
  void end_delivered(std::vector<std::unique_ptr<Record>> records);
  void note_ended(const Record& record);
  // Below it nothing is left in the outbox.
  std::uint64_t first_waiting() const;
  void commit_ends();
  void note_result(bool up, const std::string& reason);
  void count(std::int64_t records, std::int64_t bytes);
  // Whether there is room for what nobody waits for; else it has ended.
  bool admits(Record& record, bool memory_full);
  void note_oldest(const std::vector<std::unique_ptr<Record>>& batch);
  void release_holds();

  const std::string id_;
  Outbox& outbox_;
  SinkRunner& runner_;
  const std::shared_ptr<RunnerGate> gate_;  // also of commits under way
  RecordEnds& ends_;
  MemoryBudget& memory_;
  const Clock& clock_;
  QueueMetrics metrics_;

  // Any thread.
  std::atomic<Record*> inbox_ = nullptr;  // newest first
  std::atomic<std::uint64_t> wakeups_ = 0;
  std::atomic<bool> scheduled_ = false;
  std::atomic<bool> running_ = false;
  std::atomic<bool> hurry_ = false;
  std::atomic<std::uint64_t> counter_ = 0;
  std::atomic<bool> cursor_written_ = false;
  std::atomic<std::int64_t> records_ = 0;
  std::atomic<std::int64_t> volatile_records_ = 0;
  std::atomic<std::int64_t> bytes_ = 0;
  std::atomic<std::size_t> bytes_max_;
  std::atomic<OnFull> on_full_;
  std::atomic<bool> spilling_ = false;
  std::atomic<bool> holding_ = false;
  // When the oldest record was received, in ms; 0: none waits. Shared with the metric, which may be read when the queue has gone.
  const std::shared_ptr<std::atomic<std::int64_t>> oldest_ms_;
  mutable std::mutex shared_;  // and these
  SequenceSet spilled_;        // durable, and not in memory
  std::vector<broker::PendingAck::Hold> holds_;
  QueueOptions options_;
  std::unique_ptr<Sink> next_sink_;  // has_next_sink_: to take the place of sink_
  bool has_next_sink_ = false;
  bool has_sink_;
  std::string abandoned_;  // why; empty: it is not
  bool is_up_ = true;
  std::string last_error_;

  // The runner's, one step at a time.
  std::unique_ptr<Sink> sink_;  // nullptr: it waits for one
  std::string now_abandoned_;
  QueueOptions now_options_;
  std::deque<std::unique_ptr<Record>> pending_;
  // Poison: retried each by itself, not before its time.
  std::multimap<MonotonicTime, std::unique_ptr<Record>> aside_;
  bool aside_had_its_turn_ = false;  // of those that are due; the next is pending_'s
  std::uint32_t failures_in_row_ = 0;
  std::size_t alone_left_ = 0;  // so many records are sent one by one, to find the one that fails
  MonotonicTime not_before_ = {};
  MonotonicTime timer_at_ = MonotonicTime::max();
  Backoff backoff_;
  // Of earlier runs, by the cursor's count, not read yet.
  std::int64_t resumed_records_ = 0;
  std::int64_t resumed_bytes_ = 0;
  std::uint64_t earlier_first_ = 0;
  std::int64_t earlier_records_ = 0;  // of earlier runs, in memory now
  store::Batch ended_;
  std::vector<std::uint64_t> ended_sequences_;
  std::vector<Function<void()>> after_commit_;
  bool has_requests_ended_ = false;  // there may be something to tell of several records
};

}  // namespace iotcore::rules
