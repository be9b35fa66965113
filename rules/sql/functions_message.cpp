#include "base/crypto.h"
#include "rules/sql/dates.h"
#include "rules/sql/function_bodies.h"

#include <cstdio>

namespace iotcore::rules::sql::bodies {
namespace {

Value text_or_undefined(const std::optional<std::string_view>& text) {
  return text ? Value::string(*text) : Value();
}

Value external(const Call& call, std::string_view name) {
  return call.evaluator.call_external(name, call.arguments);
}

std::string_view level_of(std::string_view topic, std::int64_t n) {
  std::size_t at = 0;
  for (; n > 1; --n) {
    at = topic.find('/', at);
    if (at == std::string_view::npos) {
      return {};
    }
    ++at;
  }
  return topic.substr(at, topic.find('/', at) - at);
}

}  // namespace

Value topic(const Call& call) {
  const std::string_view topic = call.evaluator.message().topic;
  if (call.size() == 0) {
    return Value::string(topic);
  }
  const std::optional<Decimal> n = call.values().to_floor(call[0]);
  const std::optional<std::int64_t> level = n ? n->to_int64() : std::nullopt;
  if (!level || *level < 1 || *level > static_cast<std::int64_t>(topic.size()) + 1) {
    return {};
  }
  const std::string_view found = level_of(topic, *level);
  return found.data() == nullptr ? Value() : Value::string(found);
}

Value client_id(const Call& call) {
  return Value::string(call.evaluator.message().client_id.value_or("n/a"));
}

Value principal(const Call& call) {
  return Value::string(call.evaluator.message().principal);
}

Value account_id(const Call& call) {
  return Value::string(call.evaluator.message().account_id);
}

Value source_ip(const Call& call) {
  return Value::string(call.evaluator.message().source_ip);
}

Value trace_id(const Call& call) {
  return text_or_undefined(call.evaluator.message().trace_id);
}

Value new_uuid(const Call& call) {
  const std::uint64_t high = (call.evaluator.random().next() & ~0xF000ULL) | 0x4000ULL;
  const std::uint64_t low =
      (call.evaluator.random().next() & ~0xC000000000000000ULL) | 0x8000000000000000ULL;
  char text[37];
  std::snprintf(
      text,
      sizeof text,
      "%08llx-%04llx-%04llx-%04llx-%012llx",
      static_cast<unsigned long long>(high >> 32),
      static_cast<unsigned long long>(high >> 16 & 0xFFFF),
      static_cast<unsigned long long>(high & 0xFFFF),
      static_cast<unsigned long long>(low >> 48),
      static_cast<unsigned long long>(low & 0xFFFFFFFFFFFFULL)
  );
  return call.evaluator.string({text, 36});
}

Value sql_version(const Call& call) {
  return Value::string(version_text(call.evaluator.version()));
}

Value get_mqtt_property(const Call& call) {
  const MessageView& message = call.evaluator.message();
  const std::string_view name =
      call[0].kind() == Kind::kString ? call[0].text() : std::string_view();
  if (name == "content_type") {
    return text_or_undefined(message.content_type);
  }
  if (name == "response_topic") {
    return text_or_undefined(message.response_topic);
  }
  if (name == "correlation_data" && message.correlation_data) {
    return call.evaluator.string(to_base64(*message.correlation_data));
  }
  if (name == "format_indicator" && message.payload_is_utf8) {
    return Value::string(*message.payload_is_utf8 ? "UTF8_DATA" : "UNSPECIFIED_BYTES");
  }
  return {};
}

Value get_user_properties(const Call& call) {
  const auto& properties = call.evaluator.message().user_properties;
  std::vector<Value> found;
  if (call.size() == 0) {
    for (const auto& [name, value] : properties) {
      const Member member{name, Value::string(value)};
      found.push_back(call.values().object({&member, 1}));
    }
    return call.values().array(found);
  }
  const std::optional<std::string_view> key = call.evaluator.text(call[0]);
  for (const auto& [name, value] : properties) {
    if (name == key) {
      found.push_back(Value::string(value));
    }
  }
  return found.empty() ? Value() : call.values().array(found);
}

Value timestamp(const Call& call) {
  return Value::integer(call.evaluator.message().timestamp_ms);
}

Value parse_time(const Call& call) {
  const std::optional<std::string_view> pattern = call.evaluator.text(call[0]);
  const std::optional<Decimal> ms = call.values().to_floor(call[1]);
  const std::optional<std::string_view> zone =
      call.size() > 2 ? call.evaluator.text(call[2]) : std::optional<std::string_view>("UTC");
  if (!pattern || !ms || !zone || !ms->to_int64()) {
    return {};
  }
  const std::optional<std::string> text = format_time(*pattern, *ms->to_int64(), *zone);
  return text ? call.evaluator.string(*text) : Value();
}

Value time_to_epoch(const Call& call) {
  const std::optional<std::string_view> text = call.evaluator.text(call[0]);
  const std::optional<std::string_view> pattern = call.evaluator.text(call[1]);
  if (!text || !pattern) {
    return {};
  }
  const std::optional<std::int64_t> ms = read_time(*text, *pattern);
  return ms ? Value::integer(*ms) : Value();
}

Value aws_lambda(const Call& call) {
  return external(call, "aws_lambda");
}

Value get_thing_shadow(const Call& call) {
  return external(call, "get_thing_shadow");
}

Value get_dynamodb(const Call& call) {
  return external(call, "get_dynamodb");
}

Value get_secret(const Call& call) {
  return external(call, "get_secret");
}

Value get_registry_data(const Call& call) {
  return external(call, "get_registry_data");
}

Value machinelearning_predict(const Call& call) {
  return external(call, "machinelearning_predict");
}

}  // namespace iotcore::rules::sql::bodies
