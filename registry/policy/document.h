#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry::policy {

enum class Effect : std::uint8_t { kAllow, kDeny };

enum class Operator : std::uint8_t {
  kStringEquals,
  kStringNotEquals,
  kStringEqualsIgnoreCase,
  kStringNotEqualsIgnoreCase,
  kStringLike,
  kStringNotLike,
  kNumericEquals,
  kNumericNotEquals,
  kNumericLessThan,
  kNumericLessThanEquals,
  kNumericGreaterThan,
  kNumericGreaterThanEquals,
  kDateEquals,
  kDateNotEquals,
  kDateLessThan,
  kDateLessThanEquals,
  kDateGreaterThan,
  kDateGreaterThanEquals,
  kBool,
  kBinaryEquals,
  kIpAddress,
  kNotIpAddress,
  kArnEquals,
  kArnLike,
  kArnNotEquals,
  kArnNotLike,
  kNull,
};

// How an operator treats a key that holds a set.
enum class SetMode : std::uint8_t { kNone, kForAllValues, kForAnyValue };

// One key under one operator: true if any of the values fits.
struct Condition {
  Operator op;
  SetMode set_mode;
  bool if_exists;
  std::string key;
  std::vector<std::string> values;
};

struct Statement {
  std::string sid;  // empty: none
  Effect effect;
  bool not_action;
  bool not_resource;
  std::vector<std::string> actions;
  std::vector<std::string> resources;
  std::vector<Condition> conditions;  // all must hold
};

// A policy document that keeps every rule of the grammar.
struct Document {
  bool has_variables;  // Version 2012-10-17; in 2008-10-17 ${…} is plain text
  std::vector<Statement> statements;
};

struct Limits {
  std::size_t characters_max = 20480;  // white space outside strings is not counted
  std::size_t bytes_max = 404600;      // the request field

  static Limits strict() { return {.characters_max = 2048}; }

  static Limits extended() { return {}; }
};

// kMalformedPolicy: what is wrong, and where ("Statement[1].Effect must be …").
Result<Document> parse_document(std::string_view text, const Limits& limits = {});

}  // namespace iotcore::registry::policy
