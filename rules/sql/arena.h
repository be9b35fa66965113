#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <vector>

namespace iotcore::rules::sql {

// Memory that is given out piecemeal and taken back at once. For what needs no destructor.
class Arena {
 public:
  explicit Arena(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Aligned for every type; nullptr when the limit is reached, and from then on.
  void* allocate(std::size_t bytes) {
    const std::size_t rounded = (bytes + kAlign - 1) & ~(kAlign - 1);
    if (rounded <= static_cast<std::size_t>(end_ - at_)) {
      void* const place = at_;
      at_ += rounded;
      return place;
    }
    return allocate_chunk(rounded);
  }

  // Uninitialised; nullptr when the limit is reached.
  template <typename T>
  T* array(std::size_t count) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= kAlign);
    return static_cast<T*>(allocate(count * sizeof(T)));
  }

  // data() is nullptr when the limit is reached.
  std::string_view copy(std::string_view text) {
    if (text.empty()) {
      return "";
    }
    char* const place = array<char>(text.size());
    if (place == nullptr) {
      return {};
    }
    std::memcpy(place, text.data(), text.size());
    return {place, text.size()};
  }

  bool exhausted() const { return exhausted_; }

 private:
  static constexpr std::size_t kAlign = alignof(std::max_align_t);
  static constexpr std::size_t kInlineBytes = 4096;
  static constexpr std::size_t kChunkBytes = 16384;

  void* allocate_chunk(std::size_t bytes) {
    if (exhausted_ || bytes > bytes_max_ - used_) {
      exhausted_ = true;
      return nullptr;
    }
    const std::size_t size = bytes > kChunkBytes ? bytes : kChunkBytes;
    used_ += bytes;
    chunks_.push_back(std::unique_ptr<std::byte[]>(new std::byte[size]));
    std::byte* const chunk = chunks_.back().get();
    if (bytes < kChunkBytes) {
      at_ = chunk + bytes;
      end_ = chunk + size;
      used_ += size - bytes < bytes_max_ - used_ ? size - bytes : bytes_max_ - used_;
    }
    return chunk;
  }

  alignas(kAlign) std::byte inline_[kInlineBytes];
  std::byte* at_ = inline_;
  std::byte* end_ = inline_ + kInlineBytes;
  std::size_t used_ = 0;
  std::size_t bytes_max_;
  bool exhausted_ = false;
  std::vector<std::unique_ptr<std::byte[]>> chunks_;
};

}  // namespace iotcore::rules::sql
