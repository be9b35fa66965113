#pragma once

#include "rules/sql/arena.h"
#include "rules/sql/decimal.h"
#include "rules/sql/json_tape.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::sql {

enum class Kind : std::uint8_t {
  kUndefined,
  kNull,
  kBoolean,
  kInt,
  kDecimal,
  kString,
  kArray,
  kObject,
  kBytes,
};

struct Member;

// A value of the dialect: small, without destructor, a view. What it shows lies in the payload, in
// the program or in the arena of the evaluation that made it, and is valid as long as that lives.
class Value {
 public:
  Value() = default;  // Undefined

  static Value null() { return Value(Kind::kNull); }

  static Value boolean(bool b);
  static Value integer(std::int64_t i);
  static Value integer(const Decimal& whole);
  // Of kind Decimal, even if whole.
  static Value decimal(const Decimal& d);
  static Value string(std::string_view text);
  static Value bytes(std::string_view raw);
  static Value array(std::span<const Value> elements);
  static Value object(std::span<const Member> members);
  // A node of a tape as it is; scalars must be resolved before they are looked at (see Values).
  static Value on_tape(const JsonTape& tape, std::uint32_t index);

  Kind kind() const { return kind_; }

  bool is_undefined() const { return kind_ == Kind::kUndefined; }

  bool is_null() const { return kind_ == Kind::kNull; }

  bool is_true() const { return kind_ == Kind::kBoolean && word_ != 0; }

  bool is_number() const { return kind_ == Kind::kInt || kind_ == Kind::kDecimal; }

  bool is_container() const { return kind_ == Kind::kArray || kind_ == Kind::kObject; }

  // Each only of the kind it names.
  bool as_boolean() const { return word_ != 0; }

  bool is_small() const { return form_ == Form::kSmall; }  // an Int within 64 bits

  std::int64_t small() const { return static_cast<std::int64_t>(word_); }

  Decimal number() const;

  std::string_view text() const { return {pointer_.text, size_}; }  // String, Bytes

  // Containers come in two forms: as JSON text on a tape or built by an evaluation.
  bool is_on_tape() const { return form_ == Form::kTape; }

  const JsonTape& tape() const { return *pointer_.tape; }

  std::uint32_t tape_index() const { return static_cast<std::uint32_t>(word_); }

  const JsonTape::Node& tape_node() const { return tape().node(tape_index()); }

  std::span<const Value> elements() const { return {pointer_.elements, size_}; }

  std::span<const Member> members() const;

 private:
  enum class Form : std::uint8_t { kPlain, kSmall, kWide, kTape };

  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::kUndefined;
  Form form_ = Form::kPlain;
  bool negative_ = false;
  std::int16_t exponent_ = 0;
  std::uint32_t size_ = 0;

  union Pointer {
    const char* text;
    const JsonTape* tape;
    const Value* elements;
    const Member* members;
    std::uint64_t high;
  } pointer_{};

  std::uint64_t word_ = 0;
};

struct Member {
  std::string_view key;
  Value value;
};

inline std::span<const Member> Value::members() const {
  return {pointer_.members, size_};
}

// Conversions and access that may need memory or know the version's way with numbers.
class Values {
 public:
  // keep_decimals: 2015-10-08, where 5.0 stays a Decimal.
  Values(Arena& arena, bool keep_decimals) : arena_(&arena), keep_decimals_(keep_decimals) {}

  Arena& arena() const { return *arena_; }

  bool keeps_decimals() const { return keep_decimals_; }

  // A whole Decimal is an Int, unless the version keeps it.
  Value number(const Decimal& d) const;

  Value number(const std::optional<Decimal>& d) const { return d ? number(*d) : Value(); }

  Value from_double(double d) const { return number(Decimal::from_double(d)); }

  // Of JSON syntax.
  Value parse_number(std::string_view text) const;
  // Copies; Undefined if there is no memory.
  Value string(std::string_view text) const;
  Value array(std::span<const Value> elements) const;
  Value object(std::span<const Member> members) const;
  // The same value, needing nothing but this arena (and what lives longer than it).
  Value clone(const Value& value) const;

  // A tape's scalar as a value of its kind; everything else as it is.
  Value resolve(const Value& value) const;
  std::string_view key(const JsonTape& tape, const JsonTape::Node& node) const;
  Value member(const Value& object, std::string_view name) const;
  Value element(const Value& array, std::size_t index) const;
  std::size_t size(const Value& container) const;

  // The table of conversions (§6). Nothing is Undefined.
  std::optional<Decimal> to_decimal(const Value& value) const;
  std::optional<Decimal> to_floor(const Value& value) const;
  std::optional<bool> to_boolean(const Value& value) const;
  // A view of the value, of the arena or of a literal.
  std::optional<std::string_view> to_text(const Value& value) const;

  // Both defined.
  bool equal(const Value& a, const Value& b) const;

  // Compact JSON. Undefined members and elements are left out.
  void append_json(std::string& out, const Value& value) const;

 private:
  void append_tape(std::string& out, const JsonTape& tape, std::uint32_t index) const;
  void append_tape_object(std::string& out, const JsonTape& tape, std::uint32_t index) const;
  bool equal_arrays(const Value& a, const Value& b) const;
  bool equal_objects(const Value& a, const Value& b) const;

  Arena* arena_;
  bool keep_decimals_;
};

// Calls f(key, value) for every member; of members of one name only the last. Values may be
// unresolved.
template <typename F>
void for_each_member(const Values& values, const Value& object, F&& f);
// Calls f(value) for every element. Values may be unresolved.
template <typename F>
void for_each_element(const Value& array, F&& f);

void append_number(std::string& out, const Value& number);

template <typename F>
void for_each_element(const Value& array, F&& f) {
  if (!array.is_on_tape()) {
    for (const Value& element : array.elements()) {
      f(element);
    }
    return;
  }
  const JsonTape& tape = array.tape();
  const std::uint32_t end = array.tape_node().next;
  for (std::uint32_t i = array.tape_index() + 1; i < end; i = tape.node(i).next) {
    f(Value::on_tape(tape, i));
  }
}

// The indices of the values that count in an object with a name more than once: of each name the
// last, in text order.
std::vector<std::uint32_t> last_values(const Values& values, const Value& object);

template <typename F>
void for_each_member(const Values& values, const Value& object, F&& f) {
  if (!object.is_on_tape()) {
    for (const Member& member : object.members()) {
      f(member.key, member.value);
    }
    return;
  }
  const JsonTape& tape = object.tape();
  const JsonTape::Node& container = object.tape_node();
  if ((container.traits & kHasDuplicates) != 0) {
    for (const std::uint32_t i : last_values(values, object)) {
      f(values.key(tape, tape.node(i - 1)), Value::on_tape(tape, i));
    }
    return;
  }
  for (std::uint32_t i = object.tape_index() + 1; i < container.next; i = tape.node(i + 1).next) {
    f(values.key(tape, tape.node(i)), Value::on_tape(tape, i + 1));
  }
}

}  // namespace iotcore::rules::sql
