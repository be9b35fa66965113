#pragma once

#include "base/clock.h"
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
#include <string_view>
#include <vector>

namespace iotcore::store {
class Store;
}

namespace iotcore::broker {

// The retained messages: in memory by topic, in the store so that they outlive the process. Any thread.
//
// Rows: 'm', text topic, u64 worker -> sequence, QoS, times, properties, payload. Each worker writes rows of its own in the
// order of its commits, and the sequence tells which worker's row is the newest when two wrote the same topic at once.
class RetainedMessages {
 public:
  RetainedMessages(store::Store& store, const Clock& clock, std::size_t messages_max);
  ~RetainedMessages();

  Status load();

  // Keeps a publish, or forgets what is kept if its payload is empty, and adds what the store has to know to `batch`. kQuotaExceeded.
  Status set(const PublishView& publish, WorkerId worker, store::Batch& batch);

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

  std::size_t count() const;
  void clear();

 private:
  struct Kept;
  struct Shard;
  static constexpr std::size_t kShards = 16;

  Shard& shard_of(std::string_view topic);
  bool is_expired(const Kept& kept) const;

  store::Store& store_;
  const Clock& clock_;
  std::size_t messages_max_;
  std::atomic<std::uint64_t> sequence_ = 1;
  std::atomic<std::size_t> count_ = 0;
  std::array<std::unique_ptr<Shard>, kShards> shards_;
};

}  // namespace iotcore::broker
