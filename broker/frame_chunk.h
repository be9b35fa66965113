#pragma once

#include "base/memory_use.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace iotcore::broker {

// Encoded frames that several connections of one worker send: written once, referred to by their output buffers. One thread.
class FrameChunk {
 public:
  // With one reference, the caller's.
  static FrameChunk* make(std::size_t capacity) {
    void* memory = std::malloc(sizeof(FrameChunk) + capacity);
    if (memory == nullptr) {
      throw std::bad_alloc();
    }
    MemoryUse::add(static_cast<std::int64_t>(capacity));
    return new (memory) FrameChunk(capacity);
  }

  FrameChunk(const FrameChunk&) = delete;
  FrameChunk& operator=(const FrameChunk&) = delete;

  void acquire() { ++references_; }

  void release() {
    if (--references_ == 0) {
      MemoryUse::add(-static_cast<std::int64_t>(capacity_));
      std::free(this);
    }
  }

  bool is_referred_to() const { return references_ > 1; }

  char* data() { return reinterpret_cast<char*>(this + 1); }

  std::size_t capacity() const { return capacity_; }

 private:
  explicit FrameChunk(std::size_t capacity) : capacity_(capacity) {}

  ~FrameChunk() = default;

  std::size_t capacity_;
  std::uint32_t references_ = 1;
};

// Where a worker encodes the frames of one kind that many of its connections get. Frames follow each other, so that a connection that gets them all
// has one piece to send.
class FrameArena {
 public:
  FrameArena() = default;
  FrameArena(const FrameArena&) = delete;
  FrameArena& operator=(const FrameArena&) = delete;

  ~FrameArena() {
    if (chunk_ != nullptr) {
      chunk_->release();
    }
  }

  // Room for one frame, at that offset of chunk(). What was encoded before is kept as long as an output buffer refers to its chunk.
  std::size_t allocate(std::size_t bytes) {
    if (chunk_ != nullptr && !chunk_->is_referred_to()) {
      used_ = 0;  // all of it has been sent: the same memory again, which the caches still hold
    }
    if (chunk_ == nullptr || bytes > chunk_->capacity() - used_) {
      if (chunk_ != nullptr) {
        chunk_->release();
        chunk_ = nullptr;
      }
      chunk_ = FrameChunk::make(bytes > kChunkBytes ? bytes : kChunkBytes);
      used_ = 0;
    }
    const std::size_t at = used_;
    used_ += bytes;
    return at;
  }

  FrameChunk& chunk() { return *chunk_; }

 private:
  static constexpr std::size_t kChunkBytes = 128 * 1024;

  FrameChunk* chunk_ = nullptr;
  std::size_t used_ = 0;
};

}  // namespace iotcore::broker
