#include "base/crypto.h"
#include "base/json.h"
#include "gateway/transcode.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace iotcore::gateway {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using Place = MemberPlan::Place;

constexpr int kSingular = -1;

// Epoch seconds with as many fraction digits as there are milliseconds.
void append_timestamp(std::string& out, std::int64_t ms) {
  if (ms % 1000 == 0) {
    fmt::format_to(std::back_inserter(out), "{}", ms / 1000);
  } else {
    const char* sign = ms < 0 ? "-" : "";
    const std::int64_t size = ms < 0 ? -ms : ms;
    fmt::format_to(std::back_inserter(out), "{}{}.{:03}", sign, size / 1000, size % 1000);
  }
}

void append_object(std::string& out, const Message& message, const MessagePlan& plan);

// The value of `field`, or its element at `index`; `field` is that of the member or of a map
// entry's value.
void append_value(
    std::string& out,
    const Message& message,
    const FieldDescriptor* field,
    int index,
    const MemberPlan& member
) {
  const Reflection& reflection = *message.GetReflection();
  const bool element = index != kSingular;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      append_object(
          out,
          element ? reflection.GetRepeatedMessage(message, field, index)
                  : reflection.GetMessage(message, field),
          *member.nested
      );
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      out += (element ? reflection.GetRepeatedBool(message, field, index)
                      : reflection.GetBool(message, field))
                 ? "true"
                 : "false";
      return;
    case FieldDescriptor::CPPTYPE_INT32:
      out += fmt::to_string(
          element ? reflection.GetRepeatedInt32(message, field, index)
                  : reflection.GetInt32(message, field)
      );
      return;
    case FieldDescriptor::CPPTYPE_INT64: {
      const std::int64_t value = element ? reflection.GetRepeatedInt64(message, field, index)
                                         : reflection.GetInt64(message, field);
      member.timestamp ? append_timestamp(out, value) : void(out += fmt::to_string(value));
      return;
    }
    case FieldDescriptor::CPPTYPE_DOUBLE:
      append_json_number(
          out,
          element ? reflection.GetRepeatedDouble(message, field, index)
                  : reflection.GetDouble(message, field)
      );
      return;
    default:
      break;
  }
  std::string scratch;
  const std::string& text =
      element ? reflection.GetRepeatedStringReference(message, field, index, &scratch)
              : reflection.GetStringReference(message, field, &scratch);
  if (member.json) {
    out += text.empty() ? "null" : text;
  } else if (field->type() == FieldDescriptor::TYPE_BYTES) {
    append_json_string(out, to_base64(text));
  } else {
    append_json_string(out, text);
  }
}

void append_list(std::string& out, const Message& message, const MemberPlan& member) {
  const int size = message.GetReflection()->FieldSize(message, member.field);
  out += '[';
  for (int i = 0; i < size; ++i) {
    if (i > 0) {
      out += ',';
    }
    append_value(out, message, member.field, i, member);
  }
  out += ']';
}

// By key, so that equal maps are equal texts.
void append_map(std::string& out, const Message& message, const MemberPlan& member) {
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor* key_field = member.field->message_type()->map_key();
  const FieldDescriptor* value_field = member.field->message_type()->map_value();
  std::vector<std::pair<std::string, const Message*>> entries;
  for (int i = 0; i < reflection.FieldSize(message, member.field); ++i) {
    const Message& entry = reflection.GetRepeatedMessage(message, member.field, i);
    entries.emplace_back(entry.GetReflection()->GetString(entry, key_field), &entry);
  }
  std::sort(entries.begin(), entries.end());
  out += '{';
  for (const auto& [key, entry] : entries) {
    if (out.back() != '{') {
      out += ',';
    }
    append_json_string(out, key);
    out += ':';
    append_value(out, *entry, value_field, kSingular, member);
  }
  out += '}';
}

bool is_left_out(const Message& message, const MemberPlan& member) {
  const Reflection& reflection = *message.GetReflection();
  if (member.field->is_repeated()) {
    return member.omit_empty && reflection.FieldSize(message, member.field) == 0;
  }
  return member.field->has_presence() && !reflection.HasField(message, member.field);
}

void append_object(std::string& out, const Message& message, const MessagePlan& plan) {
  out += '{';
  bool first = true;
  for (const MemberPlan& member : plan.members) {
    if (member.place != Place::kBody || is_left_out(message, member)) {
      continue;
    }
    if (!first) {
      out += ',';
    }
    first = false;
    append_json_string(out, member.name);
    out += ':';
    if (member.field->is_map()) {
      append_map(out, message, member);
    } else if (member.field->is_repeated()) {
      append_list(out, message, member);
    } else {
      append_value(out, message, member.field, kSingular, member);
    }
  }
  out += '}';
}

// The name under which the operation models a failure: the services disagree about the words for
// the commonest two.
std::string_view exception_name(const Error& error, const Operation* operation) {
  const std::string_view name = errc_info(error.code()).exception;
  if (operation == nullptr || operation->models(name)) {
    return name;
  }
  if (name == "InvalidRequest" && operation->models("Validation")) {
    return "Validation";
  }
  if (name == "InternalFailure") {
    for (const std::string_view other : {"Internal", "InternalServer"}) {
      if (operation->models(other)) {
        return other;
      }
    }
  }
  return name;
}

}  // namespace

net::HttpResponse encode(const Operation& operation, const Message& message) {
  const MessagePlan& plan = *operation.response;
  const Reflection& reflection = *message.GetReflection();
  net::HttpResponse response;
  if (const MemberPlan* status = plan.find(Place::kStatus)) {
    response.status = static_cast<std::uint16_t>(reflection.GetInt32(message, status->field));
  }
  if (response.status == 204) {
    return response;  // has no body
  }
  const MemberPlan* payload = plan.find(Place::kPayload);
  if (payload == nullptr) {
    append_object(response.body, message, plan);
  } else if (payload->nested != nullptr) {
    append_object(response.body, reflection.GetMessage(message, payload->field), *payload->nested);
  } else {
    response.body = reflection.GetString(message, payload->field);
  }
  // Raw payloads of replies are shadow documents: JSON too.
  response.headers.add("Content-Type", "application/json");
  return response;
}

net::HttpResponse error_response(
    const Error& error, const Operation* operation, api::Plane plane, std::string_view request_id
) {
  net::HttpResponse response;
  response.status = errc_info(error.code()).http_status;
  if (response.status == 429 && plane == api::IOT) {
    response.status = 400;
  }
  response.headers.add("Content-Type", "application/json");
  response.headers.add("x-amzn-RequestId", std::string(request_id));
  response.headers.add(
      "x-amzn-ErrorType", std::string(exception_name(error, operation)) + "Exception"
  );
  std::string& body = response.body;
  const auto append_member = [&](std::string_view name, std::string_view value) {
    body += body.empty() ? '{' : ',';
    append_json_string(body, name);
    body += ':';
    append_json_string(body, value);
  };
  append_member("message", error.message());
  for (const auto& [name, value] : error.details()) {
    append_member(name, value);
  }
  if (plane != api::IOT) {
    append_member("traceId", request_id);
  }
  body += '}';
  return response;
}

}  // namespace iotcore::gateway
