#include "base/json.h"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <utility>

namespace iotcore {

namespace {

// Boost.JSON 1.81 computes numbers of more digits than these from a rounded mantissa: off by one in the last place at times.
constexpr std::size_t kExactDigits = 15;

// Makes the value, as Boost.JSON's own parser does, but for numbers that it would round wrongly or make NaN (0e999).
class ValueBuilder {
 public:
  using Text = boost::json::string_view;
  using Code = json::error_code;

  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

  ValueBuilder(unsigned char* scratch, std::size_t size, json::storage_ptr memory)
      : stack_({}, scratch, size) {
    stack_.reset(std::move(memory));
  }

  json::value release() { return stack_.release(); }

  bool on_document_begin(Code& /*code*/) { return true; }

  bool on_document_end(Code& /*code*/) { return true; }

  bool on_object_begin(Code& /*code*/) { return true; }

  bool on_object_end(std::size_t n, Code& /*code*/) {
    stack_.push_object(n);
    return true;
  }

  bool on_array_begin(Code& /*code*/) { return true; }

  bool on_array_end(std::size_t n, Code& /*code*/) {
    stack_.push_array(n);
    return true;
  }

  bool on_key_part(Text s, std::size_t /*n*/, Code& /*code*/) {
    stack_.push_chars(s);
    return true;
  }

  bool on_key(Text s, std::size_t /*n*/, Code& /*code*/) {
    stack_.push_key(s);
    return true;
  }

  bool on_string_part(Text s, std::size_t /*n*/, Code& /*code*/) {
    stack_.push_chars(s);
    return true;
  }

  bool on_string(Text s, std::size_t /*n*/, Code& /*code*/) {
    stack_.push_string(s);
    return true;
  }

  bool on_number_part(Text /*s*/, Code& /*code*/) { return true; }

  bool on_int64(std::int64_t i, Text /*s*/, Code& /*code*/) {
    stack_.push_int64(i);
    return true;
  }

  bool on_uint64(std::uint64_t u, Text /*s*/, Code& /*code*/) {
    stack_.push_uint64(u);
    return true;
  }

  bool on_double(double d, Text s, Code& /*code*/) {
    double exact = d;
    if (s.size() > kExactDigits || std::isnan(d)) {
      std::from_chars(s.data(), s.data() + s.size(), exact);  // beyond all bounds: what it was
    }
    stack_.push_double(std::isnan(exact) ? 0.0 : exact);
    return true;
  }

  bool on_bool(bool b, Code& /*code*/) {
    stack_.push_bool(b);
    return true;
  }

  bool on_null(Code& /*code*/) {
    stack_.push_null();
    return true;
  }

  bool on_comment_part(Text /*s*/, Code& /*code*/) { return true; }

  bool on_comment(Text /*s*/, Code& /*code*/) { return true; }

 private:
  json::value_stack stack_;
};

}  // namespace

Result<json::value> parse_json(
    std::string_view text, const JsonLimits& limits, json::storage_ptr memory
) {
  if (text.size() > limits.bytes_max) {
    return fail(
        Errc::kTooLarge,
        "JSON of " + std::to_string(text.size()) + " bytes is over the limit of " +
            std::to_string(limits.bytes_max)
    );
  }
  json::parse_options options;
  options.max_depth = limits.depth_max;
  unsigned char scratch[2048];
  json::basic_parser<ValueBuilder> parser(options, &scratch[0], sizeof scratch, std::move(memory));
  json::error_code error;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), error);
  if (!error && used < text.size()) {
    error = json::error::extra_data;
  }
  if (error) {
    return fail(
        Errc::kMalformedJson,
        "invalid JSON at byte " + std::to_string(used) + ": " + error.message()
    );
  }
  return parser.handler().release();
}

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out.push_back('"');
  std::size_t plain = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') {
      continue;
    }
    out.append(text, plain, i - plain);
    plain = i + 1;
    out.push_back('\\');
    switch (c) {
      case '"':
      case '\\':
        out.push_back(static_cast<char>(c));
        break;
      case '\b':
        out.push_back('b');
        break;
      case '\f':
        out.push_back('f');
        break;
      case '\n':
        out.push_back('n');
        break;
      case '\r':
        out.push_back('r');
        break;
      case '\t':
        out.push_back('t');
        break;
      default:
        out.append("u00");
        out.push_back(kHex[c >> 4]);
        out.push_back(kHex[c & 15]);
    }
  }
  out.append(text, plain, text.size() - plain);
  out.push_back('"');
}

void append_json_number(std::string& out, double number) {
  if (!std::isfinite(number)) {
    out.append("null");  // JSON has no such number
    return;
  }
  char text[40];
  const double magnitude = std::fabs(number);
  const bool plain = magnitude == 0 || (magnitude >= 1e-6 && magnitude < 1e17);
  const auto [end, error] = std::to_chars(
      text,
      text + sizeof text,
      number,
      plain ? std::chars_format::fixed : std::chars_format::scientific
  );
  std::string_view digits(text, static_cast<std::size_t>(end - text));
  if (plain) {
    out.append(digits);
    if (digits.find('.') == std::string_view::npos) {
      out.append(".0");
    }
    return;
  }
  const std::size_t e = digits.find('e');
  out.append(digits.substr(0, e));
  if (digits.substr(0, e).find('.') == std::string_view::npos) {
    out.append(".0");
  }
  out.push_back('E');
  std::string_view exponent = digits.substr(e + 1);
  if (exponent.front() == '+') {
    exponent.remove_prefix(1);
  } else if (exponent.front() == '-') {
    out.push_back('-');
    exponent.remove_prefix(1);
  }
  exponent.remove_prefix(std::min(exponent.find_first_not_of('0'), exponent.size() - 1));
  out.append(exponent);
}

namespace {

template <typename Integer>
void append_integer(std::string& out, Integer value) {
  char text[24];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  out.append(text, end);
}

}  // namespace

void append_json(std::string& out, const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      out.append("null");
      return;
    case json::kind::bool_:
      out.append(value.get_bool() ? "true" : "false");
      return;
    case json::kind::int64:
      append_integer(out, value.get_int64());
      return;
    case json::kind::uint64:
      append_integer(out, value.get_uint64());
      return;
    case json::kind::double_:
      append_json_number(out, value.get_double());
      return;
    case json::kind::string:
      append_json_string(out, {value.get_string().data(), value.get_string().size()});
      return;
    case json::kind::array: {
      out.push_back('[');
      bool first = true;
      for (const json::value& element : value.get_array()) {
        if (!first) {
          out.push_back(',');
        }
        first = false;
        append_json(out, element);
      }
      out.push_back(']');
      return;
    }
    case json::kind::object: {
      out.push_back('{');
      bool first = true;
      for (const auto& member : value.get_object()) {
        if (!first) {
          out.push_back(',');
        }
        first = false;
        append_json_string(out, {member.key().data(), member.key().size()});
        out.push_back(':');
        append_json(out, member.value());
      }
      out.push_back('}');
      return;
    }
  }
}

std::string to_json(const json::value& value) {
  std::string out;
  append_json(out, value);
  return out;
}

const json::value* find_member(const json::object& object, std::string_view name) {
  return object.if_contains(json::string_view(name.data(), name.size()));
}

}  // namespace iotcore
