#include "rules/actions/line_protocol.h"

#include <fmt/format.h>

#include <algorithm>

namespace iotcore::rules::actions {
namespace {

enum class Escape : std::uint8_t { kMeasurement, kKey };

// Line ends would end the point: they become \n, as two characters.
void append_name(std::string& out, std::string_view name, Escape escape) {
  for (const char c : name) {
    if (c == '\n' || c == '\r') {
      out += c == '\n' ? "\\n" : "\\r";
      continue;
    }
    if (c == ',' || c == ' ' || (c == '=' && escape == Escape::kKey)) {
      out += '\\';
    }
    out += c;
  }
  // A backslash at the end would escape what follows.
  if (name.ends_with('\\')) {
    out += ' ';
  }
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += c;
  }
  out += '"';
}

void append_value(std::string& out, const json::value& value) {
  switch (value.kind()) {
    case json::kind::bool_:
      out += value.get_bool() ? 't' : 'f';
      break;
    case json::kind::int64:
      out += fmt::format("{}i", value.get_int64());
      break;
    case json::kind::uint64:
      out += fmt::format("{}u", value.get_uint64());
      break;
    case json::kind::double_:
      append_json_number(out, value.get_double());
      break;
    case json::kind::string:
      append_string(out, value.get_string());
      break;
    default:
      append_string(out, to_json(value));
  }
}

}  // namespace

Status append_line(std::string& out, const InfluxPoint& point) {
  if (point.measurement.empty() || point.measurement.starts_with('_')) {
    return fail(
        Errc::kInvalidRequest,
        fmt::format(
            "'{}' is no name of a measurement: it is empty or begins with _", point.measurement
        )
    );
  }
  std::string line;
  append_name(line, point.measurement, Escape::kMeasurement);
  auto tags = point.tags;
  std::ranges::sort(tags);
  for (const auto& [name, value] : tags) {
    if (name.empty() || name.starts_with('_')) {
      return fail(Errc::kInvalidRequest, fmt::format("'{}' is no name of a tag", name));
    }
    if (!value.empty()) {
      line += ',';
      append_name(line, name, Escape::kKey);
      line += '=';
      append_name(line, value, Escape::kKey);
    }
  }
  bool first = true;
  for (const auto& field : point.fields) {
    if (field.value().is_null()) {
      continue;
    }
    if (field.key().empty() || field.key().starts_with('_')) {
      return fail(
          Errc::kInvalidRequest,
          fmt::format("'{}' is no name of a field", std::string_view(field.key()))
      );
    }
    line += first ? ' ' : ',';
    first = false;
    append_name(line, field.key(), Escape::kKey);
    line += '=';
    append_value(line, field.value());
  }
  if (first) {
    return fail(Errc::kInvalidRequest, "there is no field to write");
  }
  out += line;
  out += fmt::format(" {}\n", point.time);
  return {};
}

}  // namespace iotcore::rules::actions
