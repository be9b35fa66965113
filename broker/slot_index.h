#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace iotcore::broker {

// Finds slots of a table by the hash of what is in them: two words an entry, and another slot is looked at only when its hash is the same. The names are
// with the slots. One thread.
class SlotIndex {
 public:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  // The slot with that hash for which is_it(slot) holds, or kNone.
  template <typename IsIt>
  std::uint32_t find(std::uint32_t hash, IsIt&& is_it) const {
    for (std::size_t i = hash & mask();; i = (i + 1) & mask()) {
      const Entry& entry = entries_[i];
      if (entry.slot == kNone || (entry.hash == hash && is_it(entry.slot))) {
        return entry.slot;
      }
    }
  }

  // It is not in the index.
  void insert(std::uint32_t hash, std::uint32_t slot) {
    // At most three quarters full, so that a search ends soon.
    if ((size_ + 1) * 4 > entries_.size() * 3) {
      grow();
    }
    ++size_;
    put({hash, slot});
  }

  // It is in the index.
  void erase(std::uint32_t hash, std::uint32_t slot) {
    std::size_t gap = hash & mask();
    while (entries_[gap].slot != slot) {
      gap = (gap + 1) & mask();
    }
    // Those behind it that would no longer be found move up.
    for (std::size_t i = (gap + 1) & mask(); entries_[i].slot != kNone; i = (i + 1) & mask()) {
      if (((i - entries_[i].hash) & mask()) >= ((i - gap) & mask())) {
        entries_[gap] = entries_[i];
        gap = i;
      }
    }
    entries_[gap].slot = kNone;
    --size_;
  }

  std::size_t size() const { return size_; }

 private:
  struct Entry {
    std::uint32_t hash = 0;
    std::uint32_t slot = kNone;
  };

  static constexpr std::size_t kEntriesMin = 16;

  std::size_t mask() const { return entries_.size() - 1; }

  void put(Entry entry) {
    std::size_t i = entry.hash & mask();
    while (entries_[i].slot != kNone) {
      i = (i + 1) & mask();
    }
    entries_[i] = entry;
  }

  void grow() {
    const std::vector<Entry> before =
        std::exchange(entries_, std::vector<Entry>(entries_.size() * 2));
    for (const Entry& entry : before) {
      if (entry.slot != kNone) {
        put(entry);
      }
    }
  }

  std::vector<Entry> entries_ = std::vector<Entry>(kEntriesMin);  // a power of two
  std::size_t size_ = 0;
};

}  // namespace iotcore::broker
