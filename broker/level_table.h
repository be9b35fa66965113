#pragma once

#include "base/check.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

// The children of a tree node by name: what the topic tree and the topic index are made of. One
// writer at a time, readers on any thread without locks (quiescent.h says when memory may be
// freed).
namespace iotcore::broker {

// Keyed, because names come from clients that may want them to collide.
inline std::uint32_t level_hash(std::string_view name, std::uint64_t seed) {
  const auto fold = [](std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
  };
  const std::uint64_t factor = seed | 1U;
  std::uint64_t h = (seed >> 1U) ^ (name.size() * 0x9E3779B97F4A7C15ULL);
  const char* p = name.data();
  std::size_t n = name.size();
  std::uint64_t word = 0;
  for (; n > 8; n -= 8, p += 8) {
    std::memcpy(&word, p, 8);
    h = fold(h ^ word, factor) + 0xD6E8FEB86659FD93ULL;
  }
  if (n >= 4) {
    std::uint32_t low;
    std::uint32_t high;
    std::memcpy(&low, p, 4);
    std::memcpy(&high, p + n - 4, 4);
    word = (static_cast<std::uint64_t>(high) << 32U) | low;
  } else if (n > 0) {
    const auto byte = [p](std::size_t i) {
      return static_cast<std::uint64_t>(static_cast<unsigned char>(p[i]));
    };
    word = byte(0) | (byte(n / 2) << 8U) | (byte(n - 1) << 16U);
  } else {
    word = 0;
  }
  h = fold(h ^ word, factor);
  return static_cast<std::uint32_t>(h ^ (h >> 32U));
}

// What the allocator really takes for n bytes, roughly (glibc: 8 of its own, rounded to 16).
constexpr std::size_t heap_bytes(std::size_t n) {
  return std::max<std::size_t>(32, (n + 8 + 15) & ~std::size_t{15});
}

// A set of Node*, found by Node::name(). The nodes belong to the owner of the set. One word when
// empty or with one child, beyond that an open-addressing table. `Memory` gives and takes the
// tables: allocate(bytes), retire(pointer, bytes).
template <typename Node>
class LevelTable {
 public:
  // Any reader. The hash is level_hash of the name with the tree's seed.
  Node* find(std::string_view name, std::uint32_t hash) const {
    const std::uintptr_t word = word_.load(std::memory_order_acquire);
    if ((word & kIsTable) == 0) {
      Node* const only = as_node(word);
      return only != nullptr && only->name() == name ? only : nullptr;
    }
    const Table& table = *as_table(word);
    const std::uintptr_t tag = tag_of(hash);
    for (std::uint32_t i = hash & table.mask;; i = (i + 1) & table.mask) {
      const std::uintptr_t slot = table.slots()[i].load(std::memory_order_acquire);
      if (slot == 0) {
        return nullptr;
      }
      if ((slot & kTagMask) == tag) {
        Node* const node = as_node(slot);
        if (node != nullptr && node->name() == name) {
          return node;
        }
      }
    }
  }

  bool empty() const { return word_.load(std::memory_order_acquire) == 0; }

  // A walk over all children, any reader; it may miss or see what a writer changes meanwhile.
  class Cursor {
   public:
    // Nothing until assigned: a walk has an array of these.
    Cursor() = default;

    explicit Cursor(const LevelTable& set)
        : word_(set.word_.load(std::memory_order_acquire)), at_(0) {}

    // The next child, or nullptr at the end.
    Node* next() {
      if ((word_ & kIsTable) == 0) {
        Node* const only = as_node(word_);
        word_ = 0;
        return only;
      }
      const Table& table = *as_table(word_);
      while (at_ <= table.mask) {
        Node* const node = as_node(table.slots()[at_++].load(std::memory_order_acquire));
        if (node != nullptr) {
          return node;
        }
      }
      return nullptr;
    }

   private:
    std::uintptr_t word_;
    std::uint32_t at_;
  };

  // Writer only; the name is not in the set.
  template <typename Memory>
  void insert(Node* node, std::uint32_t hash, std::uint64_t seed, Memory& memory) {
    const std::uintptr_t word = word_.load(std::memory_order_relaxed);
    if (word == 0) {
      word_.store(reinterpret_cast<std::uintptr_t>(node), std::memory_order_release);
      return;
    }
    if ((word & kIsTable) == 0) {
      Table* const table = Table::make(kCapacityMin, memory);
      Node* const only = as_node(word);
      table->place(only, level_hash(only->name(), seed));
      table->place(node, hash);
      publish(table);
      return;
    }
    Table* table = as_table(word);
    // At most three quarters full, so that a search ends soon.
    if ((table->used + 1) * 4 > table->capacity() * 3) {
      table = rebuild(*table, table->live + 1, memory);
    }
    table->place(node, hash);
  }

  // Writer only; the node is in the set. The caller retires the node itself afterwards.
  template <typename Memory>
  void erase(const Node* node, std::uint32_t hash, Memory& memory) {
    const std::uintptr_t word = word_.load(std::memory_order_relaxed);
    if ((word & kIsTable) == 0) {
      IOTCORE_DCHECK(as_node(word) == node);
      word_.store(0, std::memory_order_release);
      return;
    }
    Table& table = *as_table(word);
    table.remove(node, hash);
    if (table.live == 1) {
      Cursor cursor(*this);
      word_.store(reinterpret_cast<std::uintptr_t>(cursor.next()), std::memory_order_release);
      memory.retire(&table, table.bytes());
    } else if (table.capacity() > kCapacityMin && table.live * 8 < table.capacity()) {
      rebuild(table, table.live, memory);
    }
  }

  // Writer only: gives the table back, not the nodes.
  template <typename Memory>
  void clear(Memory& memory) {
    const std::uintptr_t word = word_.load(std::memory_order_relaxed);
    word_.store(0, std::memory_order_release);
    if ((word & kIsTable) != 0) {
      memory.retire(as_table(word), as_table(word)->bytes());
    }
  }

  // Writer only: the same set under another owner, which replaces `other`; `other` goes on serving
  // the readers it has.
  void share(const LevelTable& other) {
    word_.store(other.word_.load(std::memory_order_relaxed), std::memory_order_release);
  }

 private:
  static_assert(__STDCPP_DEFAULT_NEW_ALIGNMENT__ >= 16, "the low four bits of a node are ours");
  static constexpr std::uintptr_t kIsTable = 1;
  static constexpr std::uintptr_t kTagMask = 15;
  static constexpr std::uintptr_t kErased = 1;  // a tag without a node
  static constexpr std::uint32_t kCapacityMin = 4;

  // Slots hold a node with four bits of its hash, so that few foreign nodes are looked at. The
  // hashes behind them are the writer's: they make a rebuild of a large table a walk over itself
  // and not over a million nodes.
  struct Table {
    std::uint32_t mask;
    std::uint32_t live;
    std::uint32_t used;  // live and erased

    template <typename Memory>
    static Table* make(std::uint32_t capacity, Memory& memory) {
      auto* const table = new (memory.allocate(bytes_for(capacity))) Table{capacity - 1, 0, 0};
      for (std::uint32_t i = 0; i < capacity; ++i) {
        new (&table->slots()[i]) std::atomic<std::uintptr_t>(0);
      }
      return table;
    }

    static std::size_t bytes_for(std::uint32_t capacity) {
      return slots_offset() +
             capacity * (sizeof(std::atomic<std::uintptr_t>) + sizeof(std::uint32_t));
    }

    static constexpr std::size_t slots_offset() { return 16; }

    std::uint32_t capacity() const { return mask + 1; }

    std::size_t bytes() const { return bytes_for(capacity()); }

    std::atomic<std::uintptr_t>* slots() {
      return reinterpret_cast<std::atomic<std::uintptr_t>*>(
          reinterpret_cast<char*>(this) + slots_offset()
      );
    }

    const std::atomic<std::uintptr_t>* slots() const { return const_cast<Table*>(this)->slots(); }

    std::uint32_t* hashes() { return reinterpret_cast<std::uint32_t*>(slots() + capacity()); }

    void place(Node* node, std::uint32_t hash) {
      std::uint32_t i = hash & mask;
      while (as_node(slots()[i].load(std::memory_order_relaxed)) != nullptr) {
        i = (i + 1) & mask;
      }
      used += slots()[i].load(std::memory_order_relaxed) == 0 ? 1 : 0;
      ++live;
      hashes()[i] = hash;
      slots()[i].store(
          reinterpret_cast<std::uintptr_t>(node) | tag_of(hash), std::memory_order_release
      );
    }

    void remove(const Node* node, std::uint32_t hash) {
      std::uint32_t i = hash & mask;
      while (as_node(slots()[i].load(std::memory_order_relaxed)) != node) {
        i = (i + 1) & mask;
      }
      --live;
      slots()[i].store(kErased, std::memory_order_release);
    }
  };

  static std::uintptr_t tag_of(std::uint32_t hash) { return hash >> 28U; }

  static Node* as_node(std::uintptr_t word) { return reinterpret_cast<Node*>(word & ~kTagMask); }

  static Table* as_table(std::uintptr_t word) {
    return reinterpret_cast<Table*>(word & ~std::uintptr_t{kIsTable});
  }

  void publish(Table* table) {
    word_.store(reinterpret_cast<std::uintptr_t>(table) | kIsTable, std::memory_order_release);
  }

  // A table for `live` nodes, half full, in place of this one.
  template <typename Memory>
  Table* rebuild(Table& old, std::uint32_t live, Memory& memory) {
    std::uint32_t capacity = kCapacityMin;
    while (capacity < live * 2) {
      capacity *= 2;
    }
    Table* const table = Table::make(capacity, memory);
    for (std::uint32_t i = 0; i < old.capacity(); ++i) {
      Node* const node = as_node(old.slots()[i].load(std::memory_order_relaxed));
      if (node != nullptr) {
        table->place(node, old.hashes()[i]);
      }
    }
    publish(table);
    memory.retire(&old, old.bytes());
    return table;
  }

  std::atomic<std::uintptr_t> word_{0};
};

}  // namespace iotcore::broker
