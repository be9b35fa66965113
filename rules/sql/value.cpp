#include "rules/sql/value.h"

#include "base/crypto.h"
#include "base/json.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>

namespace iotcore::rules::sql {
namespace {

bool equals_word(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b;
  });
}

// ^-?\d+(\.\d+)?((?i)E-?\d+)?$ is what Decimal::parse takes, less the plus sign.
std::optional<Decimal> parse_text(std::string_view text) {
  if (text.find('+') != std::string_view::npos) {
    return std::nullopt;
  }
  return Decimal::parse(text);
}

// Traits that keep a tape's text from being copied as it is.
std::uint8_t rewritten_traits(bool keep_decimals) {
  return static_cast<std::uint8_t>(
      kHasSpace | kHasOddNumber | kHasDuplicates | (keep_decimals ? 0 : kHasWholeDecimal)
  );
}

}  // namespace

Value Value::boolean(bool b) {
  Value v(Kind::kBoolean);
  v.word_ = b ? 1 : 0;
  return v;
}

Value Value::integer(std::int64_t i) {
  Value v(Kind::kInt);
  v.form_ = Form::kSmall;
  v.word_ = static_cast<std::uint64_t>(i);
  return v;
}

Value Value::integer(const Decimal& whole) {
  if (const std::optional<std::int64_t> i = whole.to_int64()) {
    return integer(*i);
  }
  Value v = decimal(whole);
  v.kind_ = Kind::kInt;
  return v;
}

Value Value::decimal(const Decimal& d) {
  Value v(Kind::kDecimal);
  v.form_ = Form::kWide;
  v.negative_ = d.is_negative();
  v.exponent_ = static_cast<std::int16_t>(d.exponent());
  v.pointer_.high = static_cast<std::uint64_t>(d.coefficient() >> 64);
  v.word_ = static_cast<std::uint64_t>(d.coefficient());
  return v;
}

Value Value::string(std::string_view text) {
  Value v(Kind::kString);
  v.size_ = static_cast<std::uint32_t>(text.size());
  v.pointer_.text = text.data();
  return v;
}

Value Value::bytes(std::string_view raw) {
  Value v = string(raw);
  v.kind_ = Kind::kBytes;
  return v;
}

Value Value::array(std::span<const Value> elements) {
  Value v(Kind::kArray);
  v.size_ = static_cast<std::uint32_t>(elements.size());
  v.pointer_.elements = elements.data();
  return v;
}

Value Value::object(std::span<const Member> members) {
  Value v(Kind::kObject);
  v.size_ = static_cast<std::uint32_t>(members.size());
  v.pointer_.members = members.data();
  return v;
}

Value Value::on_tape(const JsonTape& tape, std::uint32_t index) {
  const JsonTape::Node& node = tape.node(index);
  Value v;
  switch (node.kind) {
    case JsonKind::kNull:
      return null();
    case JsonKind::kTrue:
      return boolean(true);
    case JsonKind::kFalse:
      return boolean(false);
    case JsonKind::kNumber:
      v.kind_ = Kind::kInt;  // or kDecimal, once resolved
      break;
    case JsonKind::kString:
      if (node.traits == 0) {
        return string(tape.raw(node));
      }
      v.kind_ = Kind::kString;
      break;
    case JsonKind::kArray:
      v.kind_ = Kind::kArray;
      break;
    case JsonKind::kObject:
      v.kind_ = Kind::kObject;
      break;
  }
  v.form_ = Form::kTape;
  v.pointer_.tape = &tape;
  v.word_ = index;
  return v;
}

Decimal Value::number() const {
  if (form_ == Form::kSmall) {
    return Decimal(small());
  }
  const Uint128 coefficient = static_cast<Uint128>(pointer_.high) << 64 | word_;
  return Decimal::make(negative_, coefficient, exponent_).value_or(Decimal());
}

Value Values::number(const Decimal& d) const {
  return !keep_decimals_ && d.is_whole() ? Value::integer(d) : Value::decimal(d);
}

Value Values::parse_number(std::string_view text) const {
  std::int64_t small = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, small);
  if (stop == end && error == std::errc()) {
    return Value::integer(small);
  }
  const std::optional<Decimal> d = Decimal::parse(text);
  if (!d) {
    return {};
  }
  const bool written_whole = text.find_first_of(".eE") == std::string_view::npos;
  return written_whole && d->is_whole() ? Value::integer(*d) : number(*d);
}

Value Values::string(std::string_view text) const {
  const std::string_view copy = arena_->copy(text);
  return copy.data() == nullptr ? Value() : Value::string(copy);
}

Value Values::array(std::span<const Value> elements) const {
  Value* const place = arena_->array<Value>(elements.size());
  if (place == nullptr) {
    return {};
  }
  std::uninitialized_copy(elements.begin(), elements.end(), place);
  return Value::array({place, elements.size()});
}

Value Values::object(std::span<const Member> members) const {
  Member* const place = arena_->array<Member>(members.size());
  if (place == nullptr) {
    return {};
  }
  std::uninitialized_copy(members.begin(), members.end(), place);
  return Value::object({place, members.size()});
}

Value Values::clone(const Value& value) const {
  const Value v = resolve(value);
  switch (v.kind()) {
    case Kind::kString:
      return string(v.text());
    case Kind::kBytes: {
      const Value copy = string(v.text());
      return copy.is_undefined() ? copy : Value::bytes(copy.text());
    }
    case Kind::kArray: {
      std::vector<Value> elements;
      for_each_element(v, [&](const Value& element) { elements.push_back(clone(element)); });
      return array(elements);
    }
    case Kind::kObject: {
      std::vector<Member> members;
      for_each_member(*this, v, [&](std::string_view key, const Value& member) {
        members.push_back({arena_->copy(key), clone(member)});
      });
      return object(members);
    }
    default:
      return v;
  }
}

Value Values::resolve(const Value& value) const {
  if (!value.is_on_tape() || value.is_container()) {
    return value;
  }
  const JsonTape::Node& node = value.tape_node();
  const std::string_view raw = value.tape().raw(node);
  if (node.kind == JsonKind::kNumber) {
    return parse_number(raw);
  }
  std::string plain;
  append_unescaped(raw, plain);
  return string(plain);
}

std::string_view Values::key(const JsonTape& tape, const JsonTape::Node& node) const {
  if (node.traits == 0) {
    return tape.raw(node);
  }
  std::string plain;
  append_unescaped(tape.raw(node), plain);
  return arena_->copy(plain);
}

Value Values::member(const Value& object, std::string_view name) const {
  if (object.kind() != Kind::kObject) {
    return {};
  }
  if (object.is_on_tape()) {
    const std::uint32_t index = object.tape().find(object.tape_index(), name);
    return index == 0 ? Value() : resolve(Value::on_tape(object.tape(), index));
  }
  const std::span<const Member> members = object.members();
  for (std::size_t i = members.size(); i > 0; --i) {
    if (members[i - 1].key == name) {
      return resolve(members[i - 1].value);
    }
  }
  return {};
}

Value Values::element(const Value& array, std::size_t index) const {
  if (!array.is_on_tape()) {
    const std::span<const Value> elements = array.elements();
    return index < elements.size() ? resolve(elements[index]) : Value();
  }
  const JsonTape& tape = array.tape();
  const std::uint32_t end = array.tape_node().next;
  std::uint32_t at = array.tape_index() + 1;
  for (std::size_t i = 0; i < index && at < end; ++i) {
    at = tape.node(at).next;
  }
  return at < end ? resolve(Value::on_tape(tape, at)) : Value();
}

std::size_t Values::size(const Value& container) const {
  if (!container.is_on_tape()) {
    return container.kind() == Kind::kArray ? container.elements().size()
                                            : container.members().size();
  }
  const std::uint16_t count = container.tape_node().count;
  if (count != 0xFFFF) {
    return count;
  }
  std::size_t counted = 0;
  for_each_element(container, [&](const Value& /*element*/) { ++counted; });
  return counted;
}

std::optional<Decimal> Values::to_decimal(const Value& value) const {
  if (value.is_number()) {
    return value.number();
  }
  return value.kind() == Kind::kString ? parse_text(value.text()) : std::nullopt;
}

std::optional<Decimal> Values::to_floor(const Value& value) const {
  const std::optional<Decimal> d = to_decimal(value);
  return d ? std::optional<Decimal>(d->floor()) : std::nullopt;
}

std::optional<bool> Values::to_boolean(const Value& value) const {
  if (value.kind() == Kind::kBoolean) {
    return value.as_boolean();
  }
  if (value.kind() == Kind::kString) {
    if (equals_word(value.text(), "true")) {
      return true;
    }
    if (equals_word(value.text(), "false")) {
      return false;
    }
  }
  return std::nullopt;
}

std::optional<std::string_view> Values::to_text(const Value& value) const {
  switch (value.kind()) {
    case Kind::kString:
      return value.text();
    case Kind::kBoolean:
      return value.as_boolean() ? "true" : "false";
    case Kind::kInt:
    case Kind::kDecimal:
    case Kind::kArray:
    case Kind::kObject: {
      std::string text;
      append_json(text, value);
      const std::string_view copy = arena_->copy(text);
      return copy.data() == nullptr ? std::nullopt : std::optional<std::string_view>(copy);
    }
    case Kind::kUndefined:
    case Kind::kNull:
    case Kind::kBytes:
      break;
  }
  return std::nullopt;
}

bool Values::equal(const Value& a, const Value& b) const {
  if (a.is_number() && b.is_number()) {
    return a.is_small() && b.is_small() ? a.small() == b.small()
                                        : compare(a.number(), b.number()) == 0;
  }
  if (a.kind() != b.kind()) {
    return false;
  }
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNull:
      return true;
    case Kind::kBoolean:
      return a.as_boolean() == b.as_boolean();
    case Kind::kString:
    case Kind::kBytes:
      return a.text() == b.text();
    case Kind::kArray:
      return equal_arrays(a, b);
    case Kind::kObject:
      return equal_objects(a, b);
    case Kind::kInt:
    case Kind::kDecimal:
      break;
  }
  return false;
}

bool Values::equal_arrays(const Value& a, const Value& b) const {
  if (size(a) != size(b)) {
    return false;
  }
  std::vector<Value> others;
  others.reserve(size(b));
  for_each_element(b, [&](const Value& element) { others.push_back(element); });
  std::size_t i = 0;
  bool same = true;
  for_each_element(a, [&](const Value& element) {
    same = same && equal(resolve(element), resolve(others[i]));
    ++i;
  });
  return same;
}

bool Values::equal_objects(const Value& a, const Value& b) const {
  std::unordered_map<std::string_view, Value> others;
  for_each_member(*this, b, [&](std::string_view key, const Value& value) { others[key] = value; });
  bool same = true;
  std::size_t count = 0;
  for_each_member(*this, a, [&](std::string_view key, const Value& value) {
    ++count;
    if (same) {
      const auto other = others.find(key);
      same = other != others.end() && equal(resolve(value), resolve(other->second));
    }
  });
  return same && count == others.size();
}

std::vector<std::uint32_t> last_values(const Values& values, const Value& object) {
  const JsonTape& tape = object.tape();
  std::unordered_map<std::string_view, std::uint32_t> last;
  std::vector<std::uint32_t> indices;
  for (std::uint32_t i = object.tape_index() + 1; i < object.tape_node().next;
       i = tape.node(i + 1).next) {
    last[values.key(tape, tape.node(i))] = i + 1;
  }
  indices.reserve(last.size());
  for (const auto& [key, index] : last) {
    indices.push_back(index);
  }
  std::sort(indices.begin(), indices.end());
  return indices;
}

void append_number(std::string& out, const Value& number) {
  if (number.is_small()) {
    char text[24];
    const auto [end, error] = std::to_chars(text, text + sizeof text, number.small());
    out.append(text, end);
    return;
  }
  const Decimal d = number.number();
  d.append_to(out);
  if (number.kind() == Kind::kDecimal && d.is_whole()) {
    out.append(".0");  // 2015-10-08
  }
}

void Values::append_json(std::string& out, const Value& value) const {
  if (value.is_on_tape()) {
    append_tape(out, value.tape(), value.tape_index());
    return;
  }
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNull:
      out.append("null");
      return;
    case Kind::kBoolean:
      out.append(value.as_boolean() ? "true" : "false");
      return;
    case Kind::kInt:
    case Kind::kDecimal:
      append_number(out, value);
      return;
    case Kind::kString:
      append_json_string(out, value.text());
      return;
    case Kind::kBytes:
      append_json_string(out, to_base64(value.text()));
      return;
    case Kind::kArray: {
      char before = '[';
      for (const Value& element : value.elements()) {
        if (!element.is_undefined()) {
          out.push_back(before);
          before = ',';
          append_json(out, element);
        }
      }
      out.append(before == '[' ? "[]" : "]");
      return;
    }
    case Kind::kObject: {
      char before = '{';
      for (const Member& member : value.members()) {
        if (!member.value.is_undefined()) {
          out.push_back(before);
          before = ',';
          append_json_string(out, member.key);
          out.push_back(':');
          append_json(out, member.value);
        }
      }
      out.append(before == '{' ? "{}" : "}");
      return;
    }
  }
}

void Values::append_tape(std::string& out, const JsonTape& tape, std::uint32_t index) const {
  const JsonTape::Node& node = tape.node(index);
  const bool as_it_is = (node.traits & rewritten_traits(keep_decimals_)) == 0;
  switch (node.kind) {
    case JsonKind::kNumber: {
      const Value number = as_it_is ? Value() : parse_number(tape.raw(node));
      if (number.is_undefined()) {
        out.append(tape.raw(node));  // or beyond our magnitudes: passed on as it came
      } else {
        append_number(out, number);
      }
      return;
    }
    case JsonKind::kString: {
      if (as_it_is) {
        out.push_back('"');
        out.append(tape.raw(node));
        out.push_back('"');
        return;
      }
      std::string plain;
      append_unescaped(tape.raw(node), plain);
      append_json_string(out, plain);
      return;
    }
    case JsonKind::kArray: {
      if (as_it_is) {
        out.append(tape.raw(node));
        return;
      }
      char before = '[';
      for (std::uint32_t i = index + 1; i < node.next; i = tape.node(i).next) {
        out.push_back(before);
        before = ',';
        append_tape(out, tape, i);
      }
      out.append(before == '[' ? "[]" : "]");
      return;
    }
    case JsonKind::kObject:
      if (as_it_is) {
        out.append(tape.raw(node));
      } else {
        append_tape_object(out, tape, index);
      }
      return;
    case JsonKind::kNull:
    case JsonKind::kTrue:
    case JsonKind::kFalse:
      out.append(tape.raw(node));
  }
}

void Values::append_tape_object(std::string& out, const JsonTape& tape, std::uint32_t index) const {
  char before = '{';
  for_each_member(
      *this,
      Value::on_tape(tape, index),
      [&](std::string_view key, const Value& value) {
        out.push_back(before);
        before = ',';
        append_json_string(out, key);
        out.push_back(':');
        append_json(out, value);
      }
  );
  out.append(before == '{' ? "{}" : "}");
}

}  // namespace iotcore::rules::sql
