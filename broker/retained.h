#pragma once

#include "base/clock.h"
#include "base/rate_limit.h"
#include "base/result.h"
#include "broker/message.h"
#include "broker/topic_index.h"
#include "store/batch.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::store {
class Store;
}

namespace iotcore::broker {

struct RetainedLimits {
  std::size_t messages_max = 1'000'000;
  std::size_t bytes_max = 1U << 30;  // in memory, what goes with each message included
  std::size_t payload_bytes_max = 268'435'455;
  std::uint32_t interval_ms = 0;  // between two messages of one topic
  std::uint32_t per_s_max = 0;    // of all topics; 0: any number
  bool hash_matches_parent = true;
  std::uint64_t hash_seed = 0;  // 0: random
};

// The retained messages: in memory by topic, in the store so that they outlive the process. Any thread.
//
// Memory changes at once; the row of a topic is written by the worker that owns the topic (write_retained), from what memory holds by then. So
// there is one row per topic, and however many workers publish to it, the last row is the last message.
//
// Rows: 'm', text topic -> format, flags, QoS, times, properties, payload.
class RetainedMessages {
 public:
  RetainedMessages(store::Store& store, const Clock& clock, const RetainedLimits& limits);
  ~RetainedMessages();

  // What has expired meanwhile is deleted. Blocks.
  Status load();

  // Keeps a publish, or forgets what is kept if its payload is empty. True: the row has to be written. kQuotaExceeded.
  Result<bool> set(const PublishView& publish);

  // Puts the row of the topic as it stands now, or its deletion, into `batch`.
  void write(std::string_view topic, store::Batch& batch);

  // Forgets what has expired; the topics whose rows have to be written.
  std::vector<std::string> expire();

  // In shards, so that they are looked through in turns: everything kept in the shard that matches, has not expired and was kept by that change.
  static constexpr std::size_t kShards = 16;
  void collect(
      std::size_t shard,
      std::string_view filter,
      std::uint64_t change_max,
      std::vector<Message::Ref>& out
  );

  // Numbers what has been kept or forgotten so far.
  std::uint64_t changes() const { return changes_.load(std::memory_order_acquire); }

  // Whether it still is the one of its topic.
  bool is_kept(const Message& message);

  // Calls visit(message, stored_ms) for everything kept that matches and has not expired.
  using Visit = std::function<void(const Message::Ref&, std::int64_t stored_ms)>;
  void match(std::string_view filter, const Visit& visit);

  // The first `limit` in the order of their topics, from `from` on (included). Blocks: not on a worker.
  struct Listed {
    Message::Ref message;
    std::int64_t stored_ms;
  };

  Result<std::vector<Listed>> list(std::string_view from, std::size_t limit);
  // The one of that very topic, if any.
  Message::Ref find(std::string_view topic, std::int64_t* stored_ms = nullptr);

  std::size_t count() const { return count_.load(std::memory_order_relaxed); }

  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  void clear();

 private:
  struct Kept;
  struct Shard;

  Shard& shard_of(std::string_view topic);
  bool is_expired(const Kept& kept) const;
  bool within_rate();
  bool reserve(std::size_t messages, std::size_t more, std::size_t less);
  void keep(Shard& shard, Kept& kept, const PublishView& publish, std::int64_t stored_ms);
  void forget(Shard& shard, Kept* kept);
  // False if it is not readable. `expired`: it is not kept.
  bool load_row(std::string_view topic, std::string_view row, bool& expired);

  store::Store& store_;
  const Clock& clock_;
  const RetainedLimits limits_;
  std::atomic<std::size_t> count_ = 0;
  std::atomic<std::size_t> bytes_ = 0;
  std::atomic<std::uint64_t> changes_ = 0;
  std::mutex rate_mutex_;  // only where there is a limit
  RateLimit rate_;
  std::array<std::unique_ptr<Shard>, kShards> shards_;
};

}  // namespace iotcore::broker
