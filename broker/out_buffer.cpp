#include "broker/out_buffer.h"

#include "base/memory_use.h"

#include <algorithm>
#include <new>

namespace iotcore::broker {

void OutBuffer::make_room(std::size_t n) {
  const std::size_t used = size();
  // Moving what is unsent to the front is worth it only where that frees most of the buffer.
  if (shared_ == nullptr && begin_ > capacity_ / 2 && used + n <= capacity_) {
    std::memmove(data_, data_ + begin_, used);
  } else {
    // In few steps up to what is written at once: each copies everything.
    constexpr std::size_t kLeast = 512;
    constexpr std::size_t kManyTimesUpTo = 64 << 10;
    const std::size_t more = capacity_ < kManyTimesUpTo ? capacity_ * 4 : capacity_ * 2;
    const std::size_t capacity =
        std::max(shared_ != nullptr ? kLeast : std::max(kLeast, more), used + n);
    char* grown = static_cast<char*>(std::malloc(capacity));
    if (grown == nullptr) {
      throw std::bad_alloc();
    }
    if (used != 0) {
      std::memcpy(grown, data_ + begin_, used);
    }
    give_back();
    MemoryUse::add(static_cast<std::int64_t>(capacity));
    data_ = grown;
    capacity_ = capacity;
  }
  begin_ = 0;
  end_ = used;
}

void OutBuffer::give_back() {
  if (shared_ != nullptr) {
    std::exchange(shared_, nullptr)->release();
  } else if (data_ != nullptr) {
    std::free(data_);
    MemoryUse::add(-static_cast<std::int64_t>(capacity_));
  }
  data_ = nullptr;
  capacity_ = 0;
}

}  // namespace iotcore::broker
