#pragma once

#include "rules/sink.h"

#include <atomic>
#include <cstddef>
#include <memory>

namespace iotcore::rules {

// Records that have ended, for those that come: they are made on workers and end on the sinks' threads, and an allocator that gives so many small pieces
// back across threads costs more than what they are for.
class SpareRecords {
 public:
  SpareRecords() = default;

  ~SpareRecords() { drop(take_all()); }

  SpareRecords(const SpareRecords&) = delete;
  SpareRecords& operator=(const SpareRecords&) = delete;

  // Any thread.
  void give(std::unique_ptr<Record> record);
  // Any thread. What there is, emptied, chained by `next`.
  Record* take_all();
  static void drop(Record* chain);

 private:
  // As many as are under way at a time when it matters, and none that a long message has made large.
  static constexpr std::size_t kRecordsMax = 16'384;
  static constexpr std::size_t kPayloadBytesMax = 1024;

  std::atomic<Record*> chain_ = nullptr;
  std::atomic<std::size_t> count_ = 0;  // about
};

// One thread's way to them.
class RecordSource {
 public:
  explicit RecordSource(SpareRecords& spare) : spare_(spare) {}

  ~RecordSource() { SpareRecords::drop(chain_); }

  RecordSource(const RecordSource&) = delete;
  RecordSource& operator=(const RecordSource&) = delete;

  std::unique_ptr<Record> make();

 private:
  SpareRecords& spare_;
  Record* chain_ = nullptr;
};

}  // namespace iotcore::rules
