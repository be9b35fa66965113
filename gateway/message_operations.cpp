#include "gateway/message_operations.h"

#include "broker/broker.h"
#include "broker/message_limits.h"
#include "broker/reserved_topics.h"
#include "broker/topic.h"
#include "broker/worker_broker.h"
#include "gateway/message_properties.h"
#include "proto/api/data.pb.h"
#include "registry/http_authorizer.h"
#include "registry/policy/action.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

namespace iotcore::gateway {
namespace {

Result<broker::OwnedPublish> publish_of(
    const CallContext& context, const api::PublishRequest& request, const broker::Broker& broker
) {
  const broker::BrokerOptions& options = broker.options();
  const broker::TopicLimits limits = broker::topic_limits(options);
  if (!broker::is_publish_topic(request.topic(), limits) ||
      !broker::client_may_publish(request.topic())) {
    return fail(Errc::kInvalidRequest, "Topic is not one that can be published to");
  }
  if (request.payload().size() > std::min(options.payload_bytes_max, options.packet_bytes_max)) {
    return fail(Errc::kTooLarge, "The payload exceeds the maximum size allowed");
  }
  IOTCORE_ASSIGN(const std::string forwarded, forwarded_properties(request, options));

  broker::PublishView view;
  view.topic = request.topic();
  view.payload = request.payload();
  view.properties = forwarded;
  // Two beside AWS's zero and one: accepted once, since a request is not repeated by itself.
  view.qos = static_cast<broker::Qos>(std::min<int>(request.qos(), options.qos_max));
  view.retain = request.retain();
  view.origin = broker::Origin::kHttp;
  if (request.has_message_expiry()) {
    constexpr std::int64_t kExpiryMax = 0xFFFF'FFFF;
    if (request.message_expiry() < 0 || request.message_expiry() > kExpiryMax) {
      return fail(Errc::kInvalidRequest, "messageExpiry is not within 0 and 4294967295 seconds");
    }
    // Nobody wants a message that is over before it is there; AWS takes 0 for 1 too.
    const auto wanted_s = std::max(1U, static_cast<std::uint32_t>(request.message_expiry()));
    view.has_expiry = true;
    view.expires_at =
        broker.clock().now() + std::chrono::seconds(broker::message_expiry_s(wanted_s, options));
  }
  broker::OwnedPublish publish;
  publish.message = broker::Message::make(view);
  publish.principal = context.peer.principal;
  publish.source_ip = context.peer.source_ip;
  return publish;
}

std::optional<Status> allows_at_once(
    registry::HttpAuthorizer& authorizer,
    const CallContext& context,
    const api::PublishRequest& request
) {
  using registry::policy::Action;
  auto allowed = authorizer.allows_at_once(context.peer, Action::kPublish, request.topic());
  if (allowed && *allowed && request.retain()) {
    allowed = authorizer.allows_at_once(context.peer, Action::kRetainPublish, request.topic());
  }
  return allowed;
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
        // Of a device that was here lately nothing has to be read.
        if (const auto allowed = allows_at_once(authorizer, context, request)) {
          if (*allowed) {
            publish(broker, context, request, std::move(reply));
          } else {
            reply(fail(allowed->error()));
          }
          return;
        }
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
