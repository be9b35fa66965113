#pragma once

#include "gateway/bounds.h"
#include "proto/options.pb.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace google::protobuf {
class Descriptor;
class FieldDescriptor;
}  // namespace google::protobuf

namespace iotcore::gateway {

struct MessagePlan;

// What the transcoder has to know of one field, read from its descriptor and options once.
struct MemberPlan {
  enum class Place : std::uint8_t { kBody, kPath, kQuery, kHeader, kPayload, kStatus };

  const google::protobuf::FieldDescriptor* field = nullptr;
  Place place = Place::kBody;
  std::string name;       // the member's, in JSON and in messages
  std::string wire_name;  // of the label, query parameter or header
  bool required = false;
  bool timestamp = false;
  bool json = false;
  bool unmodelled = false;
  bool omit_empty = false;
  const Bounds* bounds = nullptr;       // of the value, element or map value
  const Bounds* key_bounds = nullptr;   // of map keys
  std::uint32_t items_max = 0;          // 0: any number
  const MessagePlan* nested = nullptr;  // of message-typed values, elements and map values
};

struct MessagePlan {
  const google::protobuf::Descriptor* descriptor = nullptr;
  std::vector<MemberPlan> members;

  bool has(MemberPlan::Place place) const;
  const MemberPlan* find(MemberPlan::Place place) const;
};

// Plans by message type. Built at start; what it hands out lives as long as it does.
class MessagePlans {
 public:
  MessagePlan& plan(const google::protobuf::Descriptor* descriptor);

 private:
  BoundsTable bounds_;
  std::map<const google::protobuf::Descriptor*, std::unique_ptr<MessagePlan>> plans_;
};

}  // namespace iotcore::gateway
