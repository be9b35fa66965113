// Law: what a client writes of a request, and what it reads of a reply, is the message itself, for
// every operation.
#include "base/crypto.h"
#include "base/json.h"
#include "gateway/transcode.h"
#include "tests/unit/gateway/samples.h"

#include <catch2/catch.hpp>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/message_differencer.h>

namespace iotcore::gateway {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::util::MessageDifferencer;
using Place = MemberPlan::Place;

std::string member_text(const Message& message, const MemberPlan& member) {
  const auto& reflection = *message.GetReflection();
  switch (member.field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, member.field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(reflection.GetInt32(message, member.field));
    case FieldDescriptor::CPPTYPE_INT64:
      return member.timestamp ? "2023-11-14T22:13:20.125Z"
                              : std::to_string(reflection.GetInt64(message, member.field));
    default: {
      const std::string text = reflection.GetString(message, member.field);
      const bool base64 = member.json || member.field->type() == FieldDescriptor::TYPE_BYTES;
      return base64 ? to_base64(text) : text;
    }
  }
}

// What an SDK does.
net::HttpRequest client_request(const Operation& operation, const Message& message) {
  net::HttpRequest request{operation.method, operation.path, {}, ""};
  std::string query;
  for (const MemberPlan& member : operation.request->members) {
    if (member.place == Place::kPath) {
      for (const std::string& label :
           {"{" + member.wire_name + "}", "{" + member.wire_name + "+}"}) {
        if (const std::size_t at = request.target.find(label); at != std::string::npos) {
          request.target.replace(
              at, label.size(), net::percent_encode(member_text(message, member))
          );
        }
      }
    } else if (member.place == Place::kQuery) {
      query += query.empty() ? '?' : '&';
      query += member.wire_name + '=' + net::percent_encode(member_text(message, member));
    } else if (member.place == Place::kHeader) {
      request.headers.add(member.wire_name, member_text(message, member));
    }
  }
  request.target += query;
  Operation mirrored = operation;
  mirrored.response = operation.request;
  request.body = encode(mirrored, message).body;
  return request;
}

TEST_CASE("every request survives the wire") {
  for (const auto& operation : api_table().operations()) {
    INFO(operation->name);
    const auto sent = sample_message(*operation->request);
    net::HttpRequest request = client_request(*operation, *sent);
    INFO(request.target << "\n" << request.body);
    const auto match = api_table().route(
        request.method,
        net::split_target(request.target).path,
        {.signing_service = operation->plane == api::IOT ? "iot" : "iotdata"}
    );
    REQUIRE(match);
    CHECK(match->operation == operation.get());
    const auto received = decode(request, *match);
    INFO((received ? "" : received.error().message()));
    REQUIRE(received);
    CHECK(MessageDifferencer::Equals(*sent, **received));
  }
}

TEST_CASE("every reply survives the wire") {
  for (const auto& operation : api_table().operations()) {
    INFO(operation->name);
    const auto sent = sample_message(*operation->response);
    net::HttpRequest mirrored_request;
    mirrored_request.body = encode(*operation, *sent).body;
    INFO(mirrored_request.body);
    Operation mirrored = *operation;
    mirrored.request = operation->response;
    mirrored.labels.clear();
    const auto received = decode(mirrored_request, {&mirrored, {}});
    INFO((received ? "" : received.error().message()));
    REQUIRE(received);
    CHECK(MessageDifferencer::Equals(*sent, **received));
  }
}

TEST_CASE("an empty reply names its lists and plain members, not its optional ones") {
  for (const auto& operation : api_table().operations()) {
    INFO(operation->name);
    const MessagePlan& plan = *operation->response;
    if (plan.has(Place::kPayload)) {
      continue;
    }
    const std::unique_ptr<Message> empty(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(plan.descriptor)->New()
    );
    const auto body = parse_json(encode(*operation, *empty).body);
    REQUIRE(body);
    for (const MemberPlan& member : plan.members) {
      INFO(member.name);
      const json::value* value = find_member(body->as_object(), member.name);
      CHECK((value != nullptr) == !member.field->has_presence());
      if (member.field->is_map()) {
        CHECK(value->is_object());
      } else if (member.field->is_repeated()) {
        CHECK(value->is_array());
      }
    }
  }
}

}  // namespace
}  // namespace iotcore::gateway
