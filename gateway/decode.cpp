#include "base/bytes.h"
#include "base/crypto.h"
#include "base/json.h"
#include "gateway/field_slot.h"
#include "gateway/iso8601.h"
#include "gateway/transcode.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace iotcore::gateway {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Place = MemberPlan::Place;

constexpr std::size_t kViolationsMax = 20;
constexpr std::size_t kShownValueBytesMax = 256;
constexpr double kTimestampSecondsMax = 253402300799.0;  // the end of year 9999

// The front of a text that goes into an error message, cut between characters.
std::string shortened(std::string_view utf8) {
  if (utf8.size() <= kShownValueBytesMax) {
    return std::string(utf8);
  }
  std::size_t end = kShownValueBytesMax;
  while (end > 0 && (static_cast<unsigned char>(utf8[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  return std::string(utf8.substr(0, end)) + "...";
}

// Where in the request a value stands: "tags.1.member.Key". Lives on the stack of the reading
// functions.
struct ValuePath {
  const ValuePath* parent;
  std::string_view name;

  std::string text() const {
    return parent == nullptr ? shortened(name) : parent->text() + '.' + shortened(name);
  }
};

tl::unexpected<Error> wrong_type(const ValuePath& path, std::string_view wanted) {
  return fail(Errc::kInvalidRequest, fmt::format("Member '{}' must be {}.", path.text(), wanted));
}

std::optional<std::int64_t> to_integer(const json::value& value) {
  if (value.is_int64()) {
    return value.get_int64();
  }
  if (value.is_double()) {
    const double number = value.get_double();
    if (std::trunc(number) == number && std::abs(number) < 9.0e15) {
      return static_cast<std::int64_t>(number);
    }
  }
  return std::nullopt;
}

std::optional<std::int64_t> seconds_to_ms(double seconds) {
  if (!(std::abs(seconds) <= kTimestampSecondsMax)) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(std::llround(seconds * 1000.0));
}

template <typename Number>
std::optional<Number> to_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

// JSON text that travels in a header: base64 of it, or, as some SDKs do when given text, base64 of
// a JSON string of base64.
std::optional<std::string> json_from_header(std::string_view header) {
  std::string text(header);
  for (int round = 0; round < 2; ++round) {
    const auto decoded = from_base64(text);
    if (!decoded) {
      return std::nullopt;
    }
    const auto value = parse_json(*decoded);
    if (!value) {
      return std::nullopt;
    }
    if (!value->is_string()) {
      return to_json(*value);
    }
    const auto& inner = value->get_string();
    text.assign(inner.data(), inner.size());
    if (const auto plain = parse_json(text); plain && !plain->is_string()) {
      return to_json(*plain);
    }
  }
  return std::nullopt;
}

class Decoder {
 public:
  Status run(net::HttpRequest& request, const RouteMatchView& match, Message& out);

 private:
  Status read_path(Message& out, const RouteMatchView& match);
  Status read_query(Message& out, const MessagePlan& plan, std::string_view query);
  Status read_headers(Message& out, const MessagePlan& plan, const net::HttpHeaders& headers);
  Status read_body(Message& out, const MessagePlan& plan, net::HttpRequest& request);

  Status read_text(Message& out, const MemberPlan& member, std::string_view text);
  Status read_object(
      Message& out, const MessagePlan& plan, const json::object& object, const ValuePath* parent
  );
  Status read_member(
      Message& out, const MemberPlan& member, const json::value& value, const ValuePath& path
  );
  Status read_list(
      Message& out, const MemberPlan& member, const json::array& list, const ValuePath& path
  );
  Status read_map(
      Message& out, const MemberPlan& member, const json::object& map, const ValuePath& path
  );
  // One value, element or map value.
  Status read_value(
      Slot slot, const MemberPlan& member, const json::value& value, const ValuePath& path
  );

  void check_required(const Message& out, const MessagePlan& plan, Place place);
  template <typename Value>
  void check(const Bounds* bounds, const Value& value, const ValuePath& path);

  void add_violation(std::string violation) {
    ++violation_count_;
    if (violations_.size() < kViolationsMax) {
      violations_.push_back(std::move(violation));
    }
  }

  std::vector<std::string> violations_;
  std::size_t violation_count_ = 0;
};

template <typename Value>
void Decoder::check(const Bounds* bounds, const Value& value, const ValuePath& path) {
  if (bounds == nullptr) {
    return;
  }
  for (const std::string& violation : bounds->violations(value)) {
    const std::string shown = bounds->row().secret() ? "***" : shortened(fmt::format("{}", value));
    add_violation(fmt::format(
        "Value '{}' at '{}' failed to satisfy constraint: {}", shown, path.text(), violation
    ));
  }
}

Status Decoder::run(net::HttpRequest& request, const RouteMatchView& match, Message& out) {
  const MessagePlan& plan = *match.operation->request;
  IOTCORE_TRY(read_path(out, match));
  if (plan.has(Place::kQuery)) {
    IOTCORE_TRY(read_query(out, plan, net::split_target(request.target).query));
  }
  if (plan.has(Place::kHeader)) {
    IOTCORE_TRY(read_headers(out, plan, request.headers));
  }
  IOTCORE_TRY(read_body(out, plan, request));
  if (violation_count_ > 0) {
    return fail(
        Errc::kInvalidRequest,
        fmt::format(
            "{} validation error{} detected: {}",
            violation_count_,
            violation_count_ == 1 ? "" : "s",
            fmt::join(violations_, "; ")
        )
    );
  }
  return {};
}

Status Decoder::read_path(Message& out, const RouteMatchView& match) {
  const Operation& operation = *match.operation;
  for (std::size_t i = 0; i < operation.labels.size(); ++i) {
    const auto text = net::percent_decode(match.labels[i]);
    if (!text) {
      return fail(Errc::kInvalidRequest, "The path holds a malformed percent escape.");
    }
    for (const MemberPlan& member : operation.request->members) {
      if (member.place == Place::kPath && member.wire_name == operation.labels[i]) {
        IOTCORE_TRY(read_text(out, member, *text));
      }
    }
  }
  return {};
}

Status Decoder::read_query(Message& out, const MessagePlan& plan, std::string_view query) {
  const auto parameters = net::parse_query(query);
  if (!parameters) {
    return fail(Errc::kInvalidRequest, "The query string holds a malformed percent escape.");
  }
  for (const MemberPlan& member : plan.members) {
    if (member.place != Place::kQuery) {
      continue;
    }
    for (const auto& [name, value] : *parameters) {
      if (name == member.wire_name) {
        IOTCORE_TRY(read_text(out, member, value));
        if (!member.field->is_repeated()) {
          break;
        }
      }
    }
  }
  check_required(out, plan, Place::kQuery);
  return {};
}

Status Decoder::read_headers(
    Message& out, const MessagePlan& plan, const net::HttpHeaders& headers
) {
  for (const MemberPlan& member : plan.members) {
    if (member.place == Place::kHeader) {
      if (const std::string* value = headers.find(member.wire_name)) {
        IOTCORE_TRY(read_text(out, member, *value));
      }
    }
  }
  check_required(out, plan, Place::kHeader);
  return {};
}

Status Decoder::read_body(Message& out, const MessagePlan& plan, net::HttpRequest& request) {
  const MemberPlan* payload = plan.find(Place::kPayload);
  if (payload != nullptr && payload->nested == nullptr) {
    Slot(out, payload->field).put(std::move(request.body));
    return {};
  }
  if (payload == nullptr && !plan.has(Place::kBody)) {
    return {};
  }
  if (!request.body.empty()) {
    IOTCORE_ASSIGN(const json::value body, parse_json(request.body));
    if (!body.is_object()) {
      return fail(Errc::kInvalidRequest, "The body must be a JSON object.");
    }
    if (payload == nullptr) {
      return read_object(out, plan, body.get_object(), nullptr);
    }
    const ValuePath path{nullptr, payload->name};
    return read_member(out, *payload, body, path);
  }
  check_required(out, plan, payload == nullptr ? Place::kBody : Place::kPayload);
  return {};
}

Status Decoder::read_text(Message& out, const MemberPlan& member, std::string_view text) {
  const ValuePath path{nullptr, member.name};
  Slot slot(out, member.field);
  switch (slot.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      if (!net::equal_ignoring_case(text, "true") && !net::equal_ignoring_case(text, "false")) {
        return wrong_type(path, "true or false");
      }
      slot.put(text.size() == 4);
      return {};
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64: {
      const auto number = member.timestamp ? parse_iso8601_ms(text) : to_number<std::int64_t>(text);
      if (!number || !slot.holds(*number)) {
        return wrong_type(path, member.timestamp ? "a time in ISO 8601" : "an integer");
      }
      check(member.bounds, *number, path);
      slot.put(*number);
      return {};
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      const auto number = to_number<double>(text);
      if (!number || !std::isfinite(*number)) {
        return wrong_type(path, "a number");
      }
      slot.put(*number);
      return {};
    }
    default:
      break;
  }
  std::optional<std::string> value(text);
  if (member.json) {
    value = json_from_header(text);
  } else if (slot.is_bytes()) {
    value = from_base64(text);
  }
  if (!value) {
    return wrong_type(path, member.json ? "JSON in base64" : "base64");
  }
  if (!slot.is_bytes() && !is_valid_utf8(*value)) {
    return wrong_type(path, "valid UTF-8");
  }
  check(member.bounds, *value, path);
  slot.put(std::move(*value));
  return {};
}

Status Decoder::read_object(
    Message& out, const MessagePlan& plan, const json::object& object, const ValuePath* parent
) {
  for (const MemberPlan& member : plan.members) {
    if (member.place != Place::kBody) {
      continue;
    }
    const json::value* value = find_member(object, member.name);
    const ValuePath path{parent, member.name};
    if (value != nullptr && !value->is_null()) {
      IOTCORE_TRY(read_member(out, member, *value, path));
    } else if (member.required) {
      add_violation(fmt::format(
          "Value null at '{}' failed to satisfy constraint: Member must not be null", path.text()
      ));
    }
  }
  return {};
}

Status Decoder::read_member(
    Message& out, const MemberPlan& member, const json::value& value, const ValuePath& path
) {
  if (member.field->is_map()) {
    return value.is_object() ? read_map(out, member, value.get_object(), path)
                             : wrong_type(path, "an object");
  }
  if (member.field->is_repeated()) {
    return value.is_array() ? read_list(out, member, value.get_array(), path)
                            : wrong_type(path, "a list");
  }
  return read_value(Slot(out, member.field), member, value, path);
}

Status Decoder::read_list(
    Message& out, const MemberPlan& member, const json::array& list, const ValuePath& path
) {
  if (member.items_max > 0 && list.size() > member.items_max) {
    add_violation(fmt::format(
        "Value at '{}' failed to satisfy constraint: Member must have length less than or equal to "
        "{}",
        path.text(),
        member.items_max
    ));
    return {};
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string place = fmt::format("{}.member", i + 1);
    const ValuePath element{&path, place};
    IOTCORE_TRY(read_value(Slot(out, member.field), member, list[i], element));
  }
  return {};
}

Status Decoder::read_map(
    Message& out, const MemberPlan& member, const json::object& map, const ValuePath& path
) {
  const FieldDescriptor* key_field = member.field->message_type()->map_key();
  const FieldDescriptor* value_field = member.field->message_type()->map_value();
  for (const auto& [name, value] : map) {
    if (value.is_null()) {
      continue;
    }
    const std::string_view key(name.data(), name.size());
    check(member.key_bounds, key, path);
    Message& entry = Slot(out, member.field).put_message();
    Slot(entry, key_field).put(std::string(key));
    const ValuePath element{&path, key};
    IOTCORE_TRY(read_value(Slot(entry, value_field), member, value, element));
  }
  return {};
}

Status Decoder::read_value(
    Slot slot, const MemberPlan& member, const json::value& value, const ValuePath& path
) {
  switch (slot.cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (!value.is_object()) {
        return wrong_type(path, "an object");
      }
      return read_object(slot.put_message(), *member.nested, value.get_object(), &path);
    case FieldDescriptor::CPPTYPE_BOOL:
      if (!value.is_bool()) {
        return wrong_type(path, "true or false");
      }
      slot.put(value.get_bool());
      return {};
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64: {
      const auto number = !member.timestamp   ? to_integer(value)
                          : value.is_number() ? seconds_to_ms(value.to_number<double>())
                                              : std::nullopt;
      if (!number || !slot.holds(*number)) {
        return wrong_type(path, member.timestamp ? "a number of seconds" : "an integer");
      }
      check(member.bounds, *number, path);
      slot.put(*number);
      return {};
    }
    case FieldDescriptor::CPPTYPE_DOUBLE:
      if (!value.is_number()) {
        return wrong_type(path, "a number");
      }
      slot.put(value.to_number<double>());
      return {};
    default:
      break;
  }
  if (member.json) {
    slot.put(to_json(value));
    return {};
  }
  if (!value.is_string()) {
    return wrong_type(path, "a string");
  }
  std::string text(value.get_string().data(), value.get_string().size());
  if (slot.is_bytes()) {
    auto bytes = from_base64(text);
    if (!bytes) {
      return wrong_type(path, "base64");
    }
    slot.put(std::move(*bytes));
    return {};
  }
  check(member.bounds, text, path);
  slot.put(std::move(text));
  return {};
}

void Decoder::check_required(const Message& out, const MessagePlan& plan, Place place) {
  for (const MemberPlan& member : plan.members) {
    if (member.place != place || !member.required) {
      continue;
    }
    const auto& reflection = *out.GetReflection();
    const bool present = member.field->is_repeated() ? reflection.FieldSize(out, member.field) > 0
                                                     : reflection.HasField(out, member.field);
    if (!present) {
      add_violation(fmt::format(
          "Value null at '{}' failed to satisfy constraint: Member must not be null", member.name
      ));
    }
  }
}

}  // namespace

Result<std::unique_ptr<Message>> decode(net::HttpRequest& request, const RouteMatchView& match) {
  Decoded decoded = decode_what_can_be(request, match);
  if (!decoded.status) {
    return fail(std::move(decoded.status).error());
  }
  return std::move(decoded.message);
}

Decoded decode_what_can_be(net::HttpRequest& request, const RouteMatchView& match) {
  Decoded out;
  out.message.reset(google::protobuf::MessageFactory::generated_factory()
                        ->GetPrototype(match.operation->request->descriptor)
                        ->New());
  out.status = Decoder().run(request, match, *out.message);
  return out;
}

}  // namespace iotcore::gateway
