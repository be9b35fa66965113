#pragma once

#include "base/result.h"
#include "proto/record/rules.pb.h"
#include "rules/sequence_set.h"
#include "rules/sink.h"
#include "store/store.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

// What is on its way to sinks, in the store: the rows of table outbox, written and read. Who delivers when is the queues' business.
//
// A record is there from the commit of the message that made it until after its sink has it. Sequences name records of one sink for ever, so
// that sinks can tell what they have: their upper part names the run of the server, and is above that of every earlier run, also when the store
// has been restored from an older copy.
class Outbox {
 public:
  explicit Outbox(store::Store& store) : store_(store) {}

  // A sink that had something waiting when the server stopped.
  struct Waiting {
    std::string sink;
    record::OutboxCursor cursor;
  };

  // Blocks; once, before anything else.
  Result<std::vector<Waiting>> open(WallTime now);

  // Names this outbox for ever.
  const std::string& id() const { return id_; }

  // The first sequence of this run: below it are those of earlier runs.
  std::uint64_t first_sequence() const { return epoch_ << kCounterBits; }

  static void put(store::Batch& batch, std::string_view sink, const Record& record);
  // Written with the first record of a run for a sink, so that the next start finds it.
  static void put_cursor(
      store::Batch& batch, std::string_view sink, const record::OutboxCursor& cursor
  );
  // Erases records of one sink; cheap when they follow one another.
  static void erase(
      store::Batch& batch, std::string_view sink, std::vector<std::uint64_t> sequences
  );

  // Records of [first, end), in order, at most `limit`; `next`: where to go on. Blocks. A row that can't be read is an error in the log and is
  // left out.
  Result<std::vector<std::unique_ptr<Record>>> read(
      std::string_view sink, SequenceRange range, std::size_t limit, std::uint64_t& next
  );

  store::Store& store() { return store_; }

  // So little room is left on the disk that what waits must not grow: queues are full then. Any thread.
  void set_disk_low(bool is_low) { disk_low_.store(is_low, std::memory_order_relaxed); }

  bool is_disk_low() const { return disk_low_.load(std::memory_order_relaxed); }

 private:
  static constexpr unsigned kCounterBits = 40;

  store::Store& store_;
  std::string id_;
  std::uint64_t epoch_ = 0;
  std::atomic<bool> disk_low_ = false;
};

record::OutboxRecord to_row(const Record& record);
// The row's bytes as OutboxRecord has them, without making one: every message that is kept pays for it.
void append_row(std::string& out, const Record& record);
std::unique_ptr<Record> from_row(const record::OutboxRecord& row, std::uint64_t sequence);

}  // namespace iotcore::rules
