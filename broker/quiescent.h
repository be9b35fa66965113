#pragma once

#include "base/check.h"
#include "base/ids.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

// When memory that lock-free readers may still be looking at can be freed. All the rules are in
// this file:
//
// 1. A reader takes pointers out of a shared structure only while it is online, and keeps none
//    across quiescent(): a worker is online while its loop turns, calls quiescent() once per turn
//    and offline() before it sleeps.
// 2. A writer first unlinks memory, so that nobody who starts from the root finds it, then gives it
//    to a RetireList.
// 3. RetireList::collect() frees what was retired before every reader that is online now was last
//    quiescent.
//
// Why it is right: collect() moves the epoch on after the unlinking. A reader that has announced
// that epoch or a later one read it after the unlinking, and dropped its older pointers before
// announcing. A reader that is offline holds none, and when it comes online the full fence on both
// sides makes sure that either the writer sees it online or it sees the unlinking.
namespace iotcore::broker {

class QuiescentDomain {
 public:
  static constexpr std::size_t kReadersMax = 64;

  // Readers are 0..readers-1; all start offline.
  explicit QuiescentDomain(std::size_t readers)
      : readers_(std::make_unique<Reader[]>(readers)), reader_count_(readers) {
    IOTCORE_CHECK(readers <= kReadersMax);
  }

  QuiescentDomain(const QuiescentDomain&) = delete;
  QuiescentDomain& operator=(const QuiescentDomain&) = delete;

  // The three below: only on the reader's own thread.
  void online(WorkerId reader) {
    epoch_of(reader).store(epoch_.load(std::memory_order_acquire), std::memory_order_relaxed);
    full_fence();
  }

  void offline(WorkerId reader) { epoch_of(reader).store(kOffline, std::memory_order_release); }

  // "I hold no pointer from before." Cheap: nothing is written while no writer collects.
  void quiescent(WorkerId reader) {
    std::atomic<std::uint64_t>& mine = epoch_of(reader);
    const std::uint64_t now = epoch_.load(std::memory_order_acquire);
    if (mine.load(std::memory_order_relaxed) != now) {
      mine.store(now, std::memory_order_release);
    }
  }

  bool is_online(WorkerId reader) const {
    return epoch_of(reader).load(std::memory_order_relaxed) != kOffline;
  }

  // For writers, any thread: starts an epoch, to stamp what has been unlinked so far.
  std::uint64_t advance() {
    const std::uint64_t epoch = epoch_.fetch_add(1, std::memory_order_acq_rel) + 1;
    full_fence();
    return epoch;
  }

  // What is stamped with this epoch or an earlier one can be freed.
  std::uint64_t safe_epoch() const {
    std::uint64_t safe = epoch_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < reader_count_; ++i) {
      const std::uint64_t epoch = readers_[i].epoch.load(std::memory_order_acquire);
      safe = epoch != kOffline && epoch < safe ? epoch : safe;
    }
    return safe;
  }

 private:
  static constexpr std::uint64_t kOffline = 0;

  // A line each, so that one worker's turn does not take another's line away.
  struct alignas(64) Reader {
    std::atomic<std::uint64_t> epoch{kOffline};
  };

  std::atomic<std::uint64_t>& epoch_of(WorkerId reader) const {
    IOTCORE_DCHECK(index(reader) < reader_count_);
    return readers_[index(reader)].epoch;
  }

  // The thread sanitizer does not know fences; two read-modify-writes of one variable order the two
  // sides as well.
  void full_fence() {
#if defined(__SANITIZE_THREAD__) || defined(IOTCORE_SANITIZED)
    epoch_.fetch_add(0, std::memory_order_acq_rel);
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
  }

  alignas(64) std::atomic<std::uint64_t> epoch_{1};
  std::unique_ptr<Reader[]> readers_;
  std::size_t reader_count_;
};

// Online for the time of a scope: a thread that reads now and then.
class OnlineGuard {
 public:
  OnlineGuard(QuiescentDomain& domain, WorkerId reader) : domain_(domain), reader_(reader) {
    domain_.online(reader_);
  }

  OnlineGuard(const OnlineGuard&) = delete;
  OnlineGuard& operator=(const OnlineGuard&) = delete;

  ~OnlineGuard() { domain_.offline(reader_); }

 private:
  QuiescentDomain& domain_;
  WorkerId reader_;
};

// What one structure has unlinked and not yet freed. Not thread safe: it belongs to the structure's
// writer. Frees the rest when it is destroyed, so no reader may be at the structure then.
class RetireList {
 public:
  using Free = void (*)(void*);

  explicit RetireList(QuiescentDomain& domain) : domain_(domain) {}

  RetireList(const RetireList&) = delete;
  RetireList& operator=(const RetireList&) = delete;

  ~RetireList() {
    free_all(waiting_);
    free_all(fresh_);
  }

  // `memory` is unlinked already.
  void retire(void* memory, std::size_t size_bytes, Free free) {
    fresh_.push_back({memory, size_bytes, free});
    retired_bytes_ += size_bytes;
    if (fresh_.size() % kBatch == 0) {
      collect();
    }
  }

  // Frees what can be. Called by retire() now and then; an owner that has gone quiet may call it to
  // free the last batch.
  void collect();

  std::size_t retired_bytes() const { return retired_bytes_; }

 private:
  static constexpr std::size_t kBatch = 64;

  struct Item {
    void* memory;
    std::size_t size_bytes;
    Free free;
  };

  void free_all(std::vector<Item>& items) {
    for (const Item& item : items) {
      item.free(item.memory);
      retired_bytes_ -= item.size_bytes;
    }
    items.clear();
  }

  QuiescentDomain& domain_;
  std::vector<Item> fresh_;    // not stamped
  std::vector<Item> waiting_;  // stamped with waiting_epoch_
  std::uint64_t waiting_epoch_ = 0;
  std::size_t retired_bytes_ = 0;
};

inline void RetireList::collect() {
  if (!waiting_.empty() && domain_.safe_epoch() >= waiting_epoch_) {
    free_all(waiting_);
  }
  if (waiting_.empty() && !fresh_.empty()) {
    std::swap(waiting_, fresh_);
    waiting_epoch_ = domain_.advance();
    if (domain_.safe_epoch() >= waiting_epoch_) {
      free_all(waiting_);
    }
  }
}

}  // namespace iotcore::broker
