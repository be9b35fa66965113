#pragma once

#include "base/function.h"
#include "base/ids.h"
#include "broker/quiescent.h"

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::broker {

class MessageConsumer;
class TopicTree;

// In the topic tree, the consumers inside the server stand beside the workers as one more.
inline constexpr WorkerId kConsumers = static_cast<WorkerId>(0xFFFF);

// The consumers of each filter. Reading takes no lock: a slot's list is immutable and replaced as a whole, and lives until every
// worker has been quiescent.
class ConsumerTable {
 public:
  using List = std::vector<MessageConsumer*>;

  static constexpr std::uint32_t kSlotsMax = 1U << 20;

  ConsumerTable(TopicTree& tree, QuiescentDomain& quiescent);
  ~ConsumerTable();

  // Any thread. The result names the consumer's subscription.
  std::uint64_t add(std::string_view filter, MessageConsumer& consumer);
  void remove(std::uint64_t id);

  // On a worker that is online; valid until it is quiescent. Never null for a slot that a match has given.
  const List* consumers(std::uint32_t slot) const {
    const Block* block = blocks_[slot / kBlock].load(std::memory_order_acquire);
    return block == nullptr ? nullptr : block->lists[slot % kBlock].load(std::memory_order_acquire);
  }

 private:
  static constexpr std::uint32_t kBlock = 1024;

  struct Block {
    std::atomic<const List*> lists[kBlock] = {};
  };

  struct Registration {
    std::uint32_t slot;
    MessageConsumer* consumer;
  };

  std::atomic<const List*>& list_at(std::uint32_t slot);
  void replace(std::uint32_t slot, const List* list);

  TopicTree& tree_;
  std::unique_ptr<std::atomic<Block*>[]> blocks_;
  std::mutex writer_;  // and what follows
  RetireList retired_;
  std::map<std::string, std::uint32_t, std::less<>> slot_of_filter_;
  std::vector<std::string> filter_of_slot_;
  std::vector<std::uint32_t> free_slots_;
  std::map<std::uint64_t, Registration> registrations_;
  std::uint64_t next_id_ = 1;
};

}  // namespace iotcore::broker
