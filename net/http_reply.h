#pragma once

#include "base/result.h"
#include "net/http_message.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::net {

// Puts one HTTP/1.x response together, however it is cut: with a length, in chunks, or up to the end of the connection (RFC 9112 6.3). Interim responses
// (1xx) are skipped. Pure.
class HttpReplyParser {
 public:
  static constexpr std::size_t kHeadBytesMax = 64 * 1024;

  // `head_only`: of a HEAD request, whose response has no body whatever it says.
  HttpReplyParser(bool head_only, std::size_t body_bytes_max)
      : head_only_(head_only), body_bytes_max_(body_bytes_max) {}

  // What comes behind the response is left alone. kInvalidRequest: not HTTP; kTooLarge.
  Status put(std::string_view bytes);
  // The connection has ended. kInvalidRequest: too early.
  Status put_end();

  bool done() const { return state_ == State::kDone; }

  // Once, when done.
  HttpResponse take() { return std::move(response_); }

 private:
  enum class State : std::uint8_t {
    kHead,
    kLength,
    kChunkHead,
    kChunk,
    kChunkEnd,
    kTrailer,
    kToEnd,
    kDone
  };

  // Each takes what it can from the front of unread_; false: more is needed.
  Result<bool> step();
  Result<bool> read_head();
  Result<bool> read_body();
  Result<bool> read_chunk_head();
  Result<bool> read_chunk_end();
  Result<bool> read_trailer();
  Status begin_body();
  // Up to the line end, which is taken too. Nothing: it has not come yet.
  std::optional<std::string> take_line();
  Status append(std::size_t bytes);

  bool head_only_;
  std::size_t body_bytes_max_;
  State state_ = State::kHead;
  std::string unread_;
  std::uint64_t left_ = 0;  // of the body or chunk
  HttpResponse response_;
};

}  // namespace iotcore::net
