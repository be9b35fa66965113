#include "gateway/message_plan.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>

namespace iotcore::gateway {
namespace {

using google::protobuf::FieldDescriptor;

MemberPlan::Place to_place(api::Place place) {
  switch (place) {
    case api::QUERY:
      return MemberPlan::Place::kQuery;
    case api::HEADER:
      return MemberPlan::Place::kHeader;
    case api::PAYLOAD:
      return MemberPlan::Place::kPayload;
    case api::STATUS:
      return MemberPlan::Place::kStatus;
    default:
      return MemberPlan::Place::kBody;
  }
}

const FieldDescriptor* value_field(const FieldDescriptor* field) {
  return field->is_map() ? field->message_type()->map_value() : field;
}

}  // namespace

bool MessagePlan::has(MemberPlan::Place place) const {
  return find(place) != nullptr;
}

const MemberPlan* MessagePlan::find(MemberPlan::Place place) const {
  const auto it = std::find_if(members.begin(), members.end(), [&](const MemberPlan& member) {
    return member.place == place;
  });
  return it == members.end() ? nullptr : &*it;
}

MessagePlan& MessagePlans::plan(const google::protobuf::Descriptor* descriptor) {
  const auto [it, added] = plans_.try_emplace(descriptor);
  if (!added) {
    return *it->second;
  }
  // In the table before its members are looked at: types may contain themselves.
  it->second = std::make_unique<MessagePlan>();
  MessagePlan& plan_of_this = *it->second;
  plan_of_this.descriptor = descriptor;
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    const api::MemberRule& rule = field->options().GetExtension(api::member);
    MemberPlan member;
    member.field = field;
    member.place = to_place(rule.place());
    member.name = field->json_name();
    member.wire_name = rule.name().empty() ? member.name : rule.name();
    member.required = rule.required();
    member.timestamp = rule.timestamp();
    member.json = rule.json();
    member.unmodelled = rule.unmodelled();
    member.omit_empty = rule.omit_empty();
    member.bounds = bounds_.find(rule.shape());
    member.key_bounds = bounds_.find(rule.key());
    member.items_max = rule.items_max();
    if (const FieldDescriptor* value = value_field(field);
        value->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      member.nested = &plan(value->message_type());
    }
    plan_of_this.members.push_back(std::move(member));
  }
  return plan_of_this;
}

}  // namespace iotcore::gateway
