#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

namespace iotcore::gateway {

// A field of a message that takes one value, or one more.
class Slot {
 public:
  Slot(google::protobuf::Message& message, const google::protobuf::FieldDescriptor* field)
      : message_(message), reflection_(*message.GetReflection()), field_(field) {}

  google::protobuf::FieldDescriptor::CppType cpp_type() const { return field_->cpp_type(); }

  bool is_bytes() const { return field_->type() == google::protobuf::FieldDescriptor::TYPE_BYTES; }

  void put(std::string value) {
    field_->is_repeated() ? reflection_.AddString(&message_, field_, std::move(value))
                          : reflection_.SetString(&message_, field_, std::move(value));
  }

  void put(bool value) {
    field_->is_repeated() ? reflection_.AddBool(&message_, field_, value)
                          : reflection_.SetBool(&message_, field_, value);
  }

  void put(double value) {
    field_->is_repeated() ? reflection_.AddDouble(&message_, field_, value)
                          : reflection_.SetDouble(&message_, field_, value);
  }

  void put(std::int64_t value) {
    if (cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_INT32) {
      const auto narrow = static_cast<std::int32_t>(value);
      field_->is_repeated() ? reflection_.AddInt32(&message_, field_, narrow)
                            : reflection_.SetInt32(&message_, field_, narrow);
    } else {
      field_->is_repeated() ? reflection_.AddInt64(&message_, field_, value)
                            : reflection_.SetInt64(&message_, field_, value);
    }
  }

  bool holds(std::int64_t value) const {
    return cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_INT32 ||
           (value >= std::numeric_limits<std::int32_t>::min() &&
            value <= std::numeric_limits<std::int32_t>::max());
  }

  google::protobuf::Message& put_message() {
    return field_->is_repeated() ? *reflection_.AddMessage(&message_, field_)
                                 : *reflection_.MutableMessage(&message_, field_);
  }

 private:
  google::protobuf::Message& message_;
  const google::protobuf::Reflection& reflection_;
  const google::protobuf::FieldDescriptor* field_;
};

}  // namespace iotcore::gateway
