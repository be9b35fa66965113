#pragma once

#include "base/errc.h"

#include <tl/expected.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotcore {

// What went wrong, where and what to do, in words meant for the one who asked: never secrets, never
// payloads.
class Error {
 public:
  Error(Errc code, std::string message) : code_(code), message_(std::move(message)) {}

  Errc code() const { return code_; }

  const std::string& message() const { return message_; }

  std::string_view name() const { return errc_info(code_).name; }

  // Named facts for programs, such as the ARN of what already exists:
  // Error(...).with("resourceArn", arn).
  Error with(std::string detail, std::string value) && {
    details_.emplace_back(std::move(detail), std::move(value));
    return std::move(*this);
  }

  const std::vector<std::pair<std::string, std::string>>& details() const { return details_; }

 private:
  Errc code_;
  std::string message_;
  std::vector<std::pair<std::string, std::string>> details_;
};

// tl::expected with the obligation to look at it.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

template <>
class [[nodiscard]] Result<void> : public tl::expected<void, Error> {
 public:
  using tl::expected<void, Error>::expected;
};

using Status = Result<void>;

inline tl::unexpected<Error> fail(Errc code, std::string message) {
  return tl::unexpected<Error>(Error(code, std::move(message)));
}

inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

// Drops a result on purpose; the reason is for the reader.
template <typename T>
void ignore_error(const Result<T>& /*result*/, std::string_view /*why*/) {}

}  // namespace iotcore

#define IOTCORE_CONCAT_(a, b) a##b
#define IOTCORE_CONCAT(a, b) IOTCORE_CONCAT_(a, b)

// IOTCORE_TRY(expression): returns the error from the calling function, if there is one.
#define IOTCORE_TRY(...)                                         \
  do {                                                           \
    if (auto iotcore_status = (__VA_ARGS__); !iotcore_status) {  \
      return ::iotcore::fail(std::move(iotcore_status).error()); \
    }                                                            \
  } while (false)

// IOTCORE_ASSIGN(declaration, expression): declares with the value, or returns the error.
#define IOTCORE_ASSIGN(declaration, ...) \
  IOTCORE_ASSIGN_(IOTCORE_CONCAT(iotcore_result_, __LINE__), declaration, __VA_ARGS__)
#define IOTCORE_ASSIGN_(result, declaration, ...)      \
  auto result = (__VA_ARGS__);                         \
  if (!result) {                                       \
    return ::iotcore::fail(std::move(result).error()); \
  }                                                    \
  declaration = std::move(*result)
