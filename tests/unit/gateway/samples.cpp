#include "tests/unit/gateway/samples.h"

#include <catch2/catch.hpp>
#include <google/protobuf/descriptor.h>

namespace iotcore::gateway {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string sample_text(const Bounds* bounds) {
  if (bounds == nullptr) {
    return "a/b \"c\" ü$%";
  }
  if (bounds->row().values_size() > 0) {
    return bounds->row().values(0);
  }
  for (const std::string& candidate :
       {std::string("7"),
        std::string("name_1"),
        std::string(64, 'a'),
        std::string("111122223333"),
        std::string("arn:aws:acm:us-east-1:111122223333:certificate/c-1")}) {
    if (bounds->violations(candidate).empty()) {
      return candidate;
    }
  }
  FAIL("no sample fits " + bounds->row().pattern());
  return {};
}

std::int32_t sample_number(const Bounds* bounds) {
  for (const std::int32_t candidate : {1, 60, 900}) {
    if (bounds == nullptr || bounds->violations(std::int64_t{candidate}).empty()) {
      return candidate;
    }
  }
  FAIL("no sample is large enough");
  return 0;
}

void fill(Message& message, const MessagePlan& plan);

void set_value(Message& message, const FieldDescriptor* field, const MemberPlan& member) {
  const auto& reflection = *message.GetReflection();
  const bool add = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      fill(
          add ? *reflection.AddMessage(&message, field)
              : *reflection.MutableMessage(&message, field),
          *member.nested
      );
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      add ? reflection.AddBool(&message, field, true) : reflection.SetBool(&message, field, true);
      return;
    case FieldDescriptor::CPPTYPE_INT32: {
      const std::int32_t value = sample_number(member.bounds);
      add ? reflection.AddInt32(&message, field, value)
          : reflection.SetInt32(&message, field, value);
      return;
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      const std::int64_t value = member.timestamp           ? 1'700'000'000'125
                                 : member.bounds == nullptr ? 9'007'199'254'740'993
                                                            : 1;
      add ? reflection.AddInt64(&message, field, value)
          : reflection.SetInt64(&message, field, value);
      return;
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string value = member.json ? R"({"a":[1,2.5,null,"x"]})"
                                : field->type() == FieldDescriptor::TYPE_BYTES
                                    ? std::string("\x00\xff{", 3)
                                    : sample_text(member.bounds);
      add ? reflection.AddString(&message, field, value)
          : reflection.SetString(&message, field, value);
      return;
    }
    default:
      FAIL("no sample for " + field->full_name());
  }
}

void fill(Message& message, const MessagePlan& plan) {
  for (const MemberPlan& member : plan.members) {
    if (member.field->is_map()) {
      const auto* entry_type = member.field->message_type();
      Message& entry = *message.GetReflection()->AddMessage(&message, member.field);
      entry.GetReflection()->SetString(
          &entry, entry_type->map_key(), sample_text(member.key_bounds)
      );
      set_value(entry, entry_type->map_value(), member);
    } else {
      set_value(message, member.field, member);
      if (member.field->is_repeated() && member.items_max != 1) {
        set_value(message, member.field, member);
      }
    }
  }
}

}  // namespace

std::unique_ptr<Message> sample_message(const MessagePlan& plan) {
  std::unique_ptr<Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(plan.descriptor)->New()
  );
  fill(*message, plan);
  return message;
}

const OperationTable& api_table() {
  static const auto table = OperationTable::of_api();
  if (!table) {
    FAIL(table.error().message());
  }
  return **table;
}

}  // namespace iotcore::gateway
