#pragma once

#include "rules/sql/json_tape.h"

#include <cstdint>
#include <string_view>

namespace iotcore::rules::sql {

// The bytes of one message, read as JSON when somebody first asks for a name, once for all rules
// that look at the message. One thread. reset() keeps the memory for the next message.
class ParsedPayload {
 public:
  ParsedPayload() = default;

  explicit ParsedPayload(std::string_view bytes) : bytes_(bytes) {}

  ParsedPayload(const ParsedPayload&) = delete;
  ParsedPayload& operator=(const ParsedPayload&) = delete;

  void reset(std::string_view bytes) {
    bytes_ = bytes;
    state_ = State::kUnread;
  }

  std::string_view bytes() const { return bytes_; }

  // A JSON object or array of at most 64 levels. Anything else passes as bytes and has no names.
  bool is_json() {
    if (state_ == State::kUnread) {
      read();
    }
    return state_ == State::kJson;
  }

  // Looks like JSON and is not: the metric ParseError counts it. Known once is_json() was asked.
  bool is_malformed() const { return state_ == State::kMalformed; }

  // Only if is_json().
  const JsonTape& tape() const { return tape_; }

 private:
  enum class State : std::uint8_t { kUnread, kJson, kMalformed, kBytes };

  void read();

  std::string_view bytes_;
  JsonTape tape_;
  State state_ = State::kUnread;
};

}  // namespace iotcore::rules::sql
