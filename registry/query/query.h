#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

// The query language of the fleet index (version 2017-09-30): dynamic groups, search, fleet metrics. Pure.
namespace iotcore::registry::query {

inline constexpr std::string_view kVersion = "2017-09-30";

struct Limits {
  std::size_t bytes_max = 4096;
  std::size_t terms_max = 64;
  std::size_t depth_max = 32;
};

// One value of a field, as long as the call lasts that it is passed to.
struct ValueView {
  enum class Kind : std::uint8_t { kText, kNumber, kBoolean };

  Kind kind = Kind::kText;
  std::string_view text;
  double number = 0;
  bool boolean = false;

  static ValueView of_text(std::string_view text) { return {Kind::kText, text, 0, false}; }

  static ValueView of_number(double number) { return {Kind::kNumber, {}, number, false}; }

  static ValueView of_boolean(bool boolean) { return {Kind::kBoolean, {}, 0, boolean}; }

  // A text that is a number, too, if it looks like one: the registry's attributes.
  static ValueView of_attribute(std::string_view text);
};

// What a query is asked of: a thing. Field names are case-sensitive.
class Subject {
 public:
  using Test = std::function<bool(const ValueView&)>;

  virtual ~Subject() = default;
  // Whether the test holds for a value of that field; a field that is a list has several.
  virtual bool any(std::string_view field, const Test& test) const = 0;
  // Whether it holds for a value of any field at all.
  virtual bool any(const Test& test) const = 0;
};

struct Node;

// Compiled. Immutable; any thread.
class Query {
 public:
  // kInvalidQuery, saying where.
  static Result<Query> parse(std::string_view text, const Limits& limits = {});

  bool matches(const Subject& subject) const;

 private:
  explicit Query(std::shared_ptr<const Node> root) : root_(std::move(root)) {}

  // Shared by the copies of this query.
  std::shared_ptr<const Node> root_;
};

}  // namespace iotcore::registry::query
