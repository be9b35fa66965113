#include "gateway/retained_operations.h"

#include "base/crypto.h"
#include "base/json.h"
#include "broker/broker.h"
#include "broker/mqtt/properties.h"
#include "broker/retained.h"
#include "broker/topic.h"
#include "proto/api/data.pb.h"
#include "registry/http_authorizer.h"
#include "registry/list_token.h"
#include "registry/policy/action.h"

#include <string>

namespace iotcore::gateway {
namespace {

using registry::policy::Action;

// `[{"a":"1"},{"a":"2"}]`, or nothing if there are none.
std::string user_properties_of(const broker::PublishView& publish) {
  json::array pairs;
  broker::mqtt::PropertiesView properties;
  properties.set_repeated(publish.properties);
  properties.for_each_user_property([&pairs](const broker::mqtt::UserPropertyView& property) {
    json::object pair;
    pair[property.name] = property.value;
    pairs.push_back(std::move(pair));
  });
  return pairs.empty() ? std::string() : to_json(pairs);
}

Result<api::GetRetainedMessageResponse> get_retained(
    broker::Broker& broker, const api::GetRetainedMessageRequest& request
) {
  const broker::BrokerOptions& options = broker.options();
  const broker::TopicLimits limits{options.topic_bytes_max, options.topic_levels_max, 128};
  if (!broker::is_valid_topic(request.topic(), limits)) {
    return fail(Errc::kInvalidRequest, "Topic is not a valid one");
  }
  std::int64_t stored_ms = 0;
  const broker::Message::Ref kept = broker.retained().find(request.topic(), &stored_ms);
  if (!kept) {
    return fail(Errc::kNotFound, "No retained message exists for topic: '" + request.topic() + "'");
  }
  const broker::PublishView& view = kept->view();
  api::GetRetainedMessageResponse response;
  response.set_topic(request.topic());
  response.set_payload(std::string(view.payload));
  response.set_qos(static_cast<int>(view.qos));
  response.set_last_modified_time(stored_ms);
  if (std::string properties = user_properties_of(view); !properties.empty()) {
    response.set_user_properties(std::move(properties));
  }
  return response;
}

Result<api::ListRetainedMessagesResponse> list_retained(
    broker::Broker& broker, const api::ListRetainedMessagesRequest& request
) {
  constexpr int kPageDefault = 20;
  constexpr std::string_view kTokenKind = "retained";
  std::string from;
  if (request.has_next_token()) {
    IOTCORE_ASSIGN(from, registry::name_in_token(kTokenKind, request.next_token()));
  }
  const auto limit =
      static_cast<std::size_t>(request.has_max_results() ? request.max_results() : kPageDefault);
  IOTCORE_ASSIGN(const auto listed, broker.retained().list(from, limit + 1));
  api::ListRetainedMessagesResponse response;
  for (std::size_t i = 0; i < listed.size(); ++i) {
    const broker::PublishView& view = listed[i].message->view();
    if (i == limit) {
      response.set_next_token(registry::list_token(kTokenKind, view.topic));
      break;
    }
    auto& topic = *response.add_retained_topics();
    topic.set_topic(std::string(view.topic));
    topic.set_payload_size(static_cast<std::int64_t>(view.payload.size()));
    topic.set_qos(static_cast<int>(view.qos));
    topic.set_last_modified_time(listed[i].stored_ms);
  }
  return response;
}

}  // namespace

void register_retained_operations(
    OperationRegistry& operations, broker::Broker& broker, registry::HttpAuthorizer& authorizer
) {
  operations.add<api::GetRetainedMessageRequest, api::GetRetainedMessageResponse>(
      "GetRetainedMessage",
      [&broker, &authorizer](
          const CallContext& context, const api::GetRetainedMessageRequest& request
      ) -> Result<api::GetRetainedMessageResponse> {
        IOTCORE_TRY(authorizer.allows(context.peer, Action::kGetRetainedMessage, request.topic()));
        return get_retained(broker, request);
      }
  );
  operations.add<api::ListRetainedMessagesRequest, api::ListRetainedMessagesResponse>(
      "ListRetainedMessages",
      [&broker, &authorizer](
          const CallContext& context, const api::ListRetainedMessagesRequest& request
      ) -> Result<api::ListRetainedMessagesResponse> {
        IOTCORE_TRY(authorizer.allows(context.peer, Action::kListRetainedMessages, "*"));
        return list_retained(broker, request);
      }
  );
}

}  // namespace iotcore::gateway
