#include "gateway/connection_operations.h"

#include "base/crypto.h"
#include "broker/broker.h"
#include "broker/connections.h"
#include "broker/message_limits.h"
#include "gateway/message_properties.h"
#include "proto/api/connections.pb.h"
#include "registry/http_authorizer.h"
#include "registry/list_token.h"
#include "registry/policy/action.h"

#include <algorithm>
#include <memory>
#include <string>

namespace iotcore::gateway {
namespace {

using registry::policy::Action;

constexpr std::string_view kTokenKind = "subscription";

api::GetConnectionResponse response_of(
    const broker::ConnectionInfo& info, const api::GetConnectionRequest& request
) {
  api::GetConnectionResponse response;
  response.set_client_id(request.client_id());
  response.set_connected(info.connected);
  response.set_clean_session(info.clean_session);
  response.set_keep_alive_duration(info.keep_alive_s);
  response.set_session_expiry(info.session_expiry_s);
  if (!info.thing_name.empty()) {
    response.set_thing_name(info.thing_name);
  }
  if (info.connected) {
    response.set_connected_since(info.connected_ms);
  } else {
    response.set_disconnected_since(info.disconnected_ms);
    response.set_disconnect_reason(std::string(
        info.disconnect_reason ? broker::disconnect_reason_of(*info.disconnect_reason) : "UNKNOWN"
    ));
  }
  if (request.include_socket_information() && info.connected) {
    response.set_source_ip(info.source_ip);
    response.set_source_port(info.source_port);
    if (!info.target_ip.empty()) {
      response.set_target_ip(info.target_ip);
      response.set_target_port(info.target_port);
    }
  }
  return response;
}

void get_connection(
    broker::Broker& broker,
    const api::GetConnectionRequest& request,
    Reply<api::GetConnectionResponse> reply
) {
  broker::Connections(broker).get(
      request.client_id(),
      [request, reply = std::move(reply)](Result<broker::ConnectionInfo> info) mutable {
        if (!info) {
          reply(fail(info.error()));
        } else {
          reply(response_of(*info, request));
        }
      }
  );
}

void delete_connection(
    broker::Broker& broker,
    const api::DeleteConnectionRequest& request,
    Reply<api::DeleteConnectionResponse> reply
) {
  broker::Connections(broker).remove(
      request.client_id(),
      request.clean_session(),
      request.prevent_will_message(),
      [reply = std::move(reply)](Status done) mutable {
        if (!done) {
          reply(fail(done.error()));
        } else {
          reply(api::DeleteConnectionResponse());
        }
      }
  );
}

// The first page of what follows the filter `after`.
api::ListSubscriptionsResponse page_of(
    const std::vector<broker::SubscriptionInfo>& all, std::string_view after, std::size_t limit
) {
  api::ListSubscriptionsResponse response;
  auto next = std::upper_bound(
      all.begin(),
      all.end(),
      after,
      [](std::string_view text, const broker::SubscriptionInfo& each) { return text < each.filter; }
  );
  for (; next != all.end(); ++next) {
    if (static_cast<std::size_t>(response.subscriptions_size()) == limit) {
      response.set_next_token(registry::list_token(kTokenKind, std::prev(next)->filter));
      break;
    }
    auto& subscription = *response.add_subscriptions();
    subscription.set_topic_filter(next->filter);
    subscription.set_qos(static_cast<int>(next->qos));
  }
  return response;
}

void list_subscriptions(
    broker::Broker& broker,
    const api::ListSubscriptionsRequest& request,
    Reply<api::ListSubscriptionsResponse> reply
) {
  constexpr int kPageDefault = 20;
  std::string after;
  if (request.has_next_token()) {
    auto last = registry::name_in_token(kTokenKind, request.next_token());
    if (!last) {
      reply(fail(last.error()));
      return;
    }
    after = *std::move(last);
  }
  const auto limit =
      static_cast<std::size_t>(request.has_max_results() ? request.max_results() : kPageDefault);
  broker::Connections(broker).subscriptions(
      request.client_id(),
      [after, limit, reply = std::move(reply)](Result<std::vector<broker::SubscriptionInfo>> all
      ) mutable {
        if (!all) {
          reply(fail(all.error()));
        } else {
          reply(page_of(*all, after, limit));
        }
      }
  );
}

Result<broker::DirectMessage> direct_message_of(
    const api::SendDirectMessageRequest& request, const broker::Broker& broker
) {
  const broker::BrokerOptions& options = broker.options();
  const broker::TopicLimits limits = broker::topic_limits(options);
  if (!broker::is_valid_topic(request.topic(), limits) || request.topic().starts_with('$')) {
    return fail(Errc::kInvalidRequest, "Topic is not one that can be sent to");
  }
  if (request.payload().size() > std::min(options.payload_bytes_max, options.packet_bytes_max)) {
    return fail(Errc::kTooLarge, "The payload exceeds the maximum size allowed");
  }
  IOTCORE_ASSIGN(const std::string forwarded, forwarded_properties(request, options));
  broker::PublishView view;
  view.topic = request.topic();
  view.payload = request.payload();
  view.properties = forwarded;
  view.origin = broker::Origin::kHttp;
  view.qos = request.confirmation() ? broker::Qos::kAtLeastOnce : broker::Qos::kAtMostOnce;
  broker::DirectMessage direct;
  direct.message = broker::Message::make(view);
  direct.confirmation = request.confirmation();
  if (request.has_timeout()) {
    direct.timeout = std::chrono::seconds(request.timeout());
  }
  return direct;
}

void send_direct_message(
    broker::Broker& broker,
    const std::string& request_id,
    const api::SendDirectMessageRequest& request,
    Reply<api::SendDirectMessageResponse> reply
) {
  Result<broker::DirectMessage> direct = direct_message_of(request, broker);
  if (!direct) {
    reply(fail(direct.error()));
    return;
  }
  broker::Connections(broker).send(
      request.client_id(),
      std::move(*direct),
      [request_id, reply = std::move(reply)](Status done) mutable {
        if (!done) {
          reply(fail(done.error()));
          return;
        }
        api::SendDirectMessageResponse response;
        response.set_message("OK");
        response.set_trace_id(request_id);
        reply(std::move(response));
      }
  );
}

// An operation on one client's connection: `handle` is called on a thread that may block, once the caller is known to be allowed.
template <typename Request, typename Response, typename Handle>
void add(
    OperationRegistry& operations,
    std::string_view name,
    Action action,
    Executor& pool,
    registry::HttpAuthorizer& authorizer,
    Handle handle
) {
  operations.add_async<Request, Response>(
      name,
      [&pool, &authorizer, action, handle](
          const CallContext& context, Request request, Reply<Response> reply
      ) {
        pool.post([&authorizer,
                   action,
                   handle,
                   context,
                   request = std::move(request),
                   reply = std::move(reply)]() mutable {
          if (Status allowed = authorizer.allows(context.peer, action, request.client_id());
              !allowed) {
            reply(fail(allowed.error()));
            return;
          }
          handle(context, request, std::move(reply));
        });
      }
  );
}

}  // namespace

void register_connection_operations(
    OperationRegistry& operations,
    broker::Broker& broker,
    Executor& pool,
    registry::HttpAuthorizer& authorizer
) {
  add<api::GetConnectionRequest, api::GetConnectionResponse>(
      operations,
      "GetConnection",
      Action::kGetConnection,
      pool,
      authorizer,
      [&broker](const CallContext&, const api::GetConnectionRequest& request, auto reply) {
        get_connection(broker, request, std::move(reply));
      }
  );
  add<api::DeleteConnectionRequest, api::DeleteConnectionResponse>(
      operations,
      "DeleteConnection",
      Action::kDeleteConnection,
      pool,
      authorizer,
      [&broker](const CallContext&, const api::DeleteConnectionRequest& request, auto reply) {
        delete_connection(broker, request, std::move(reply));
      }
  );
  add<api::ListSubscriptionsRequest, api::ListSubscriptionsResponse>(
      operations,
      "ListSubscriptions",
      Action::kListSubscriptions,
      pool,
      authorizer,
      [&broker](const CallContext&, const api::ListSubscriptionsRequest& request, auto reply) {
        list_subscriptions(broker, request, std::move(reply));
      }
  );
  add<api::SendDirectMessageRequest, api::SendDirectMessageResponse>(
      operations,
      "SendDirectMessage",
      Action::kSendDirectMessage,
      pool,
      authorizer,
      [&broker](
          const CallContext& context, const api::SendDirectMessageRequest& request, auto reply
      ) { send_direct_message(broker, context.request_id, request, std::move(reply)); }
  );
}

}  // namespace iotcore::gateway
