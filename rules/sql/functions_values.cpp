#include "base/bytes.h"
#include "base/crypto.h"
#include "rules/sql/function_bodies.h"
#include "rules/sql/md2.h"
#include "rules/sql/unicode.h"

#include <algorithm>
#include <vector>

namespace iotcore::rules::sql::bodies {
namespace {

Value hashed(const Call& call, Digest algorithm) {
  const std::optional<std::string_view> s = call.evaluator.text(call[0]);
  return s ? call.evaluator.string(to_hex(digest(algorithm, *s))) : Value();
}

// The bytes a value stands for: of the payload itself those that came, of anything else its text.
std::optional<std::string_view> bytes_of(const Call& call, const Value& value) {
  if (value.kind() == Kind::kBytes) {
    return value.text();
  }
  const bool is_payload = value.is_on_tape() && value.tape_index() == 0 &&
                          value.tape().text().data() == call.evaluator.payload_bytes().data();
  return is_payload ? call.evaluator.payload_bytes() : call.evaluator.text(value);
}

Value character(const Call& call, const Decimal& index) {
  const std::string_view text = call[0].text();
  const std::optional<std::int64_t> i = index.to_int64();
  if (!i || *i < 0 || static_cast<std::size_t>(*i) >= utf16_length(text)) {
    return {};
  }
  const auto at = static_cast<std::size_t>(*i);
  return call.evaluator.string(utf16_slice(text, at, at + 1));
}

}  // namespace

Value md2(const Call& call) {
  const std::optional<std::string_view> s = call.evaluator.text(call[0]);
  return s ? call.evaluator.string(to_hex(md2_digest(*s))) : Value();
}

Value md5(const Call& call) {
  return hashed(call, Digest::kMd5);
}

Value sha1(const Call& call) {
  return hashed(call, Digest::kSha1);
}

Value sha224(const Call& call) {
  return hashed(call, Digest::kSha224);
}

Value sha256(const Call& call) {
  return hashed(call, Digest::kSha256);
}

Value sha384(const Call& call) {
  return hashed(call, Digest::kSha384);
}

Value sha512(const Call& call) {
  return hashed(call, Digest::kSha512);
}

Value encode(const Call& call) {
  if (call[1].kind() != Kind::kString || call[1].text() != "base64") {
    return {};
  }
  const std::optional<std::string_view> bytes = bytes_of(call, call[0]);
  return bytes ? call.evaluator.string(to_base64(*bytes)) : Value();
}

namespace {

// By descriptors that are kept outside: ExternalFunctions have them. Two of them are allowed in a statement.
Value decode_proto(const Call& call) {
  constexpr std::size_t kArguments = 6;
  if (call.size() != kArguments) {
    return {};
  }
  std::vector<Value> arguments(call.arguments.begin(), call.arguments.end());
  if (arguments[0].kind() == Kind::kBytes || arguments[0].is_container()) {
    const std::optional<std::string_view> bytes = bytes_of(call, call[0]);
    arguments[0] = bytes ? call.evaluator.string(to_base64(*bytes)) : Value();
  }
  return call.evaluator.call_external("decode", arguments);
}

}  // namespace

Value decode(const Call& call) {
  if (call[1].kind() == Kind::kString && call[1].text() == "proto") {
    return decode_proto(call);
  }
  if (call[1].kind() != Kind::kString || call[1].text() != "base64" || call.size() != 2) {
    return {};
  }
  const std::optional<std::string_view> text = call.evaluator.text(call[0]);
  if (!text) {
    return {};
  }
  std::optional<std::string> bytes = from_base64(*text);
  if (!bytes) {
    return Value::null();
  }
  if (std::optional<Value> json = call.evaluator.parse(*bytes)) {
    return *json;
  }
  const Value copy = call.evaluator.string(*bytes);
  return copy.is_undefined() || is_valid_utf8(*bytes) ? copy : Value::bytes(copy.text());
}

Value get(const Call& call) {
  const Value& container = call[0];
  if (container.kind() == Kind::kObject) {
    return call[1].kind() == Kind::kString ? call.values().member(container, call[1].text())
                                           : Value();
  }
  if (container.kind() != Kind::kArray && container.kind() != Kind::kString) {
    return {};
  }
  const std::optional<Decimal> index = call.values().to_floor(call[1]);
  if (!index) {
    return {};
  }
  if (container.kind() == Kind::kString) {
    return character(call, *index);
  }
  const std::optional<std::int64_t> i = index->to_int64();
  return i && *i >= 0 ? call.values().element(container, static_cast<std::size_t>(*i)) : Value();
}

Value is_null(const Call& call) {
  return Value::boolean(call[0].is_null());
}

Value is_undefined(const Call& call) {
  return Value::boolean(call[0].is_undefined());
}

Value transform(const Call& call) {
  const bool is_enrich = call[0].kind() == Kind::kString && call[0].text() == "enrichArray";
  if (!is_enrich || call[1].kind() != Kind::kObject || call[2].kind() != Kind::kArray) {
    return {};
  }
  const Values& values = call.values();
  std::vector<Member> added;
  for_each_member(values, call[1], [&](std::string_view key, const Value& value) {
    added.push_back({key, value});
  });
  std::vector<Value> rows;
  bool are_objects = true;
  for_each_element(call[2], [&](const Value& element) {
    are_objects = are_objects && element.kind() == Kind::kObject && !call.evaluator.failed();
    if (!are_objects) {
      return;
    }
    std::vector<Member> members;
    for_each_member(values, element, [&](std::string_view key, const Value& value) {
      const bool is_replaced = std::any_of(added.begin(), added.end(), [&](const Member& member) {
        return member.key == key;
      });
      if (!is_replaced) {
        members.push_back({key, value});
      }
    });
    members.insert(members.end(), added.begin(), added.end());
    rows.push_back(values.object(members));
  });
  return are_objects ? values.array(rows) : Value();
}

}  // namespace iotcore::rules::sql::bodies
