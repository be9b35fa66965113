#pragma once

#include "base/check.h"
#include "broker/frame_chunk.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

namespace iotcore::broker {

// Bytes on their way to one socket: a flat buffer that exists only while there is something in it, so that an idle connection
// pays for a pointer. While all that it holds is a piece of a FrameChunk, it refers to that; whatever else comes has it copied first. One thread.
class OutBuffer {
 public:
  OutBuffer() = default;

  OutBuffer(OutBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        begin_(std::exchange(other.begin_, 0)),
        end_(std::exchange(other.end_, 0)),
        capacity_(std::exchange(other.capacity_, 0)),
        shared_(std::exchange(other.shared_, nullptr)) {}

  OutBuffer& operator=(OutBuffer&& other) noexcept {
    if (this != &other) {
      give_back();
      data_ = std::exchange(other.data_, nullptr);
      begin_ = std::exchange(other.begin_, 0);
      end_ = std::exchange(other.end_, 0);
      capacity_ = std::exchange(other.capacity_, 0);
      shared_ = std::exchange(other.shared_, nullptr);
    }
    return *this;
  }

  ~OutBuffer() {
    if (data_ != nullptr) {
      give_back();
    }
  }

  bool empty() const { return begin_ == end_; }

  std::size_t size() const { return end_ - begin_; }

  std::string_view view() const { return {data_ + begin_, size()}; }

  // n bytes to be written by the caller, now part of the buffer. Valid until the next call.
  char* extend(std::size_t n) {
    if (n > capacity_ - end_) {
      make_room(n);
    }
    char* at = data_ + end_;
    end_ += n;
    return at;
  }

  void append(const char* bytes, std::size_t n) {
    if (n != 0) {
      std::memcpy(extend(n), bytes, n);
    }
  }

  void append(std::string_view bytes) { append(bytes.data(), bytes.size()); }

  void push_back(char c) { *extend(1) = c; }

  // n bytes at that offset of the chunk: referred to if nothing else is here, or what comes before them in the chunk; else copied.
  void append_shared(FrameChunk& chunk, std::size_t at, std::size_t n) {
    if (shared_ == &chunk && end_ == at) {
      end_ = capacity_ = at + n;
    } else if (empty()) {
      give_back();
      chunk.acquire();
      shared_ = &chunk;
      data_ = chunk.data();
      begin_ = at;
      end_ = capacity_ = at + n;
    } else {
      append(chunk.data() + at, n);
    }
  }

  // Takes a copy of what it refers to: for bytes that have to wait, which must not keep a chunk alive.
  void own() {
    if (shared_ != nullptr) {
      make_room(0);
    }
  }

  // The first n bytes are out. An emptied buffer of more than `keep_bytes` is given back.
  void consume(std::size_t n, std::size_t keep_bytes = 0) {
    IOTCORE_DCHECK(n <= size());
    begin_ += n;
    if (begin_ == end_) {
      if (shared_ != nullptr || capacity_ > keep_bytes) {
        give_back();
      }
      begin_ = end_ = 0;
    }
  }

 private:
  void make_room(std::size_t n);
  // Leaves no memory, and the offsets to be set.
  void give_back();

  char* data_ = nullptr;  // the bytes of `shared_`, or our own
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;  // of a shared one: its end, so that there is never room in it
  FrameChunk* shared_ = nullptr;
};

}  // namespace iotcore::broker
