#include "net/http_reply.h"

#include "base/text.h"

#include <algorithm>
#include <charconv>

namespace iotcore::net {
namespace {

constexpr std::size_t kLineBytesMax = 8 * 1024;

tl::unexpected<Error> malformed(const char* what) {
  return fail(Errc::kInvalidRequest, std::string("malformed HTTP: ") + what);
}

// All of the text, or nothing.
std::optional<std::uint64_t> number(std::string_view text, int base) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  const bool whole = error == std::errc() && end == text.data() + text.size() && !text.empty();
  return whole ? std::optional(value) : std::nullopt;
}

// "HTTP/1.1 200 OK"
std::optional<std::uint16_t> status_of(std::string_view line) {
  const bool form = (line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 ")) &&
                    line.size() >= 12 && (line.size() == 12 || line[12] == ' ');
  const auto code = form ? number(line.substr(9, 3), 10) : std::nullopt;
  return code && *code >= 100 ? std::optional(static_cast<std::uint16_t>(*code)) : std::nullopt;
}

}  // namespace

Status HttpReplyParser::put(std::string_view bytes) {
  unread_.append(bytes);
  while (!done()) {
    IOTCORE_ASSIGN(const bool went_on, step());
    if (!went_on) {
      return {};
    }
  }
  return {};
}

Status HttpReplyParser::put_end() {
  if (state_ == State::kToEnd) {
    state_ = State::kDone;
  }
  return done() ? Status() : Status(malformed("it ends too early"));
}

Result<bool> HttpReplyParser::step() {
  switch (state_) {
    case State::kHead:
      return read_head();
    case State::kLength:
    case State::kChunk:
    case State::kToEnd:
      return read_body();
    case State::kChunkHead:
      return read_chunk_head();
    case State::kChunkEnd:
      return read_chunk_end();
    case State::kTrailer:
      return read_trailer();
    case State::kDone:
      break;
  }
  return false;
}

std::optional<std::string> HttpReplyParser::take_line() {
  const std::size_t end = unread_.find('\n');
  if (end == std::string::npos) {
    return std::nullopt;
  }
  std::string line = unread_.substr(0, end > 0 && unread_[end - 1] == '\r' ? end - 1 : end);
  unread_.erase(0, end + 1);
  return line;
}

Result<bool> HttpReplyParser::read_head() {
  const std::size_t end = unread_.find("\r\n\r\n");
  if (std::min(end, unread_.size()) > kHeadBytesMax) {
    return fail(Errc::kTooLarge, "the response's head is too large");
  }
  if (end == std::string::npos) {
    return false;
  }
  const auto status = status_of(take_line().value_or(""));
  if (!status) {
    return malformed("no status line");
  }
  response_ = {};
  response_.status = *status;
  for (std::string line = take_line().value_or(""); !line.empty();
       line = take_line().value_or("")) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || colon == 0) {
      return malformed("a header field without name");
    }
    response_.headers.add(
        line.substr(0, colon), std::string(trimmed(std::string_view(line).substr(colon + 1)))
    );
  }
  const bool interim = *status < 200 && *status != 101;
  if (!interim) {
    IOTCORE_TRY(begin_body());
  }
  return true;
}

Status HttpReplyParser::begin_body() {
  const std::uint16_t status = response_.status;
  const std::string* coding = response_.headers.find("Transfer-Encoding");
  const std::string* length = response_.headers.find("Content-Length");
  if (head_only_ || status == 204 || status == 304 || status == 101) {
    state_ = State::kDone;
  } else if (coding != nullptr) {
    if (!equal_ignoring_case(*coding, "chunked")) {
      return malformed("a transfer coding that was not asked for");
    }
    state_ = State::kChunkHead;
  } else if (length != nullptr) {
    const auto bytes = number(*length, 10);
    if (!bytes) {
      return malformed("no length");
    }
    if (*bytes > body_bytes_max_) {
      return fail(Errc::kTooLarge, "the response is too large");
    }
    left_ = *bytes;
    state_ = left_ == 0 ? State::kDone : State::kLength;
  } else {
    state_ = State::kToEnd;
  }
  return {};
}

Status HttpReplyParser::append(std::size_t bytes) {
  if (bytes > body_bytes_max_ - response_.body.size()) {
    return fail(Errc::kTooLarge, "the response is too large");
  }
  response_.body.append(unread_, 0, bytes);
  unread_.erase(0, bytes);
  return {};
}

Result<bool> HttpReplyParser::read_body() {
  if (unread_.empty()) {
    return false;
  }
  if (state_ == State::kToEnd) {
    IOTCORE_TRY(append(unread_.size()));
    return false;
  }
  const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(left_, unread_.size()));
  IOTCORE_TRY(append(bytes));
  left_ -= bytes;
  if (left_ == 0) {
    state_ = state_ == State::kChunk ? State::kChunkEnd : State::kDone;
  }
  return true;
}

Result<bool> HttpReplyParser::read_chunk_head() {
  const std::optional<std::string> line = take_line();
  if (!line) {
    return unread_.size() > kLineBytesMax ? Result<bool>(malformed("a chunk without length"))
                                          : Result<bool>(false);
  }
  // Extensions behind the length mean nothing to us.
  const auto bytes = number(trimmed(std::string_view(*line).substr(0, line->find(';'))), 16);
  if (!bytes) {
    return malformed("a chunk without length");
  }
  if (*bytes > body_bytes_max_) {
    return fail(Errc::kTooLarge, "the response is too large");
  }
  left_ = *bytes;
  state_ = left_ == 0 ? State::kTrailer : State::kChunk;
  return true;
}

Result<bool> HttpReplyParser::read_chunk_end() {
  if (unread_.size() < 2 && !unread_.starts_with('\n')) {
    return false;
  }
  const std::optional<std::string> line = take_line();
  if (!line || !line->empty()) {
    return malformed("a chunk that does not end where it says");
  }
  state_ = State::kChunkHead;
  return true;
}

Result<bool> HttpReplyParser::read_trailer() {
  const std::optional<std::string> line = take_line();
  if (!line) {
    return unread_.size() > kLineBytesMax ? Result<bool>(malformed("a trailer without end"))
                                          : Result<bool>(false);
  }
  if (line->empty()) {
    state_ = State::kDone;
  }
  return true;
}

}  // namespace iotcore::net
