#include "gateway/message_operations.h"

#include "base/crypto.h"
#include "base/json.h"
#include "broker/broker.h"
#include "broker/mqtt/properties.h"
#include "broker/reserved_topics.h"
#include "broker/topic.h"
#include "broker/worker_broker.h"
#include "proto/api/data.pb.h"
#include "registry/http_authorizer.h"
#include "registry/policy/action.h"

#include <memory>
#include <string>

namespace iotcore::gateway {
namespace {

using broker::mqtt::Property;

// `[{"a":"1"},{"a":"2"}]`, as the header x-amz-mqtt5-user-properties has it.
Status append_user_properties(std::string& out, std::string_view text) {
  const auto wrong = [] {
    return fail(
        Errc::kInvalidRequest,
        "x-amz-mqtt5-user-properties is not a JSON array of objects with one text each"
    );
  };
  const Result<json::value> parsed = parse_json(text);
  if (!parsed || !parsed->is_array()) {
    return wrong();
  }
  for (const json::value& element : parsed->get_array()) {
    if (!element.is_object() || element.get_object().size() != 1) {
      return wrong();
    }
    const auto& member = *element.get_object().begin();
    if (!member.value().is_string()) {
      return wrong();
    }
    const json::string& value = member.value().get_string();
    broker::mqtt::append_user_property(
        out, {member.key().data(), member.key().size()}, {value.data(), value.size()}
    );
  }
  return {};
}

Result<broker::OwnedPublish> publish_of(
    const CallContext& context, const api::PublishRequest& request, const broker::Broker& broker
) {
  const broker::BrokerOptions& options = broker.options();
  const broker::TopicLimits limits{options.topic_bytes_max, options.topic_levels_max, 128};
  if (!broker::is_valid_topic(request.topic(), limits) ||
      !broker::client_may_publish(request.topic())) {
    return fail(Errc::kInvalidRequest, "Topic is not one that can be published to");
  }
  if (request.payload().size() > options.packet_bytes_max) {
    return fail(Errc::kTooLarge, "The payload exceeds the maximum size allowed");
  }
  std::string repeated;
  if (request.has_user_properties()) {
    IOTCORE_TRY(append_user_properties(repeated, request.user_properties()));
  }
  broker::mqtt::PropertiesView properties;
  properties.set_repeated(repeated);
  if (request.payload_format_indicator() == "UTF8_DATA") {
    properties.set(Property::kPayloadFormatIndicator, 1);
  }
  if (request.has_content_type()) {
    properties.set(Property::kContentType, request.content_type());
  }
  if (request.has_response_topic()) {
    if (!broker::is_valid_topic(request.response_topic(), limits)) {
      return fail(Errc::kInvalidRequest, "responseTopic is not a valid topic");
    }
    properties.set(Property::kResponseTopic, request.response_topic());
  }
  if (request.has_correlation_data()) {
    properties.set(Property::kCorrelationData, request.correlation_data());
  }
  std::string forwarded;
  broker::mqtt::append_forwarded_properties(forwarded, properties);

  broker::PublishView view;
  view.topic = request.topic();
  view.payload = request.payload();
  view.properties = forwarded;
  view.qos = request.qos() == 0 ? broker::Qos::kAtMostOnce : broker::Qos::kAtLeastOnce;
  view.retain = request.retain();
  view.origin = broker::Origin::kHttp;
  if (request.message_expiry() > 0) {
    view.has_expiry = true;
    view.expires_at = broker.clock().now() + std::chrono::seconds(request.message_expiry());
  }
  broker::OwnedPublish publish;
  publish.message = broker::Message::make(view);
  publish.principal = context.peer.principal;
  publish.source_ip = context.peer.source_ip;
  return publish;
}

bool is_device(const CallContext& context) {
  return context.peer.kind == broker::PeerIdentity::Kind::kCertificate;
}

void publish(
    broker::Broker& broker,
    const CallContext& context,
    const api::PublishRequest& request,
    Reply<api::PublishResponse> reply
) {
  Result<broker::OwnedPublish> publish = publish_of(context, request, broker);
  if (!publish) {
    reply(fail(publish.error()));
    return;
  }
  broker.publish(
      std::move(*publish),
      [reply = std::move(reply), id = context.request_id](Result<std::uint32_t> done) mutable {
        if (!done) {
          reply(fail(done.error()));
          return;
        }
        api::PublishResponse response;
        response.set_message("OK");
        response.set_trace_id(id);
        reply(std::move(response));
      }
  );
}

}  // namespace

void register_message_operations(
    OperationRegistry& operations,
    broker::Broker& broker,
    Executor& pool,
    registry::HttpAuthorizer& authorizer
) {
  using registry::policy::Action;
  operations.add_async<api::PublishRequest, api::PublishResponse>(
      "Publish",
      [&broker, &pool, &authorizer](
          const CallContext& context, api::PublishRequest request, Reply<api::PublishResponse> reply
      ) {
        if (!is_device(context)) {
          publish(broker, context, request, std::move(reply));
          return;
        }
        // A device's policies may have to be read.
        pool.post(
            [&broker, &authorizer, context, request = std::move(request), reply = std::move(reply)](
            ) mutable {
              Status allowed = authorizer.allows(context.peer, Action::kPublish, request.topic());
              if (allowed && request.retain()) {
                allowed = authorizer.allows(context.peer, Action::kRetainPublish, request.topic());
              }
              if (!allowed) {
                reply(fail(allowed.error()));
                return;
              }
              publish(broker, context, request, std::move(reply));
            }
        );
      }
  );
}

}  // namespace iotcore::gateway
