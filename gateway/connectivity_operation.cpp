#include "gateway/connectivity_operation.h"

#include "broker/broker.h"
#include "broker/connections.h"
#include "proto/api/things.pb.h"
#include "registry/registry.h"

#include <optional>
#include <string>

namespace iotcore::gateway {
namespace {

using Request = api::GetThingConnectivityDataRequest;
using Response = api::GetThingConnectivityDataResponse;

Response response_of(
    const Request& request, const std::string& client_id, const broker::ConnectionInfo& info
) {
  Response response;
  response.set_thing_name(request.thing_name());
  response.set_client_id(client_id);
  response.set_connected(info.connected);
  response.set_timestamp(info.connected ? info.connected_ms : info.disconnected_ms);
  response.set_keep_alive_duration(info.keep_alive_s);
  response.set_clean_session(info.clean_session);
  response.set_session_expiry(info.session_expiry_s);
  if (!info.connected) {
    response.set_disconnect_reason(std::string(
        info.disconnect_reason ? broker::disconnect_reason_of(*info.disconnect_reason) : "UNKNOWN"
    ));
  } else {
    response.set_disconnect_reason("NONE");
    if (request.include_socket_information()) {
      response.set_source_ip(info.source_ip);
      response.set_source_port(info.source_port);
    }
  }
  return response;
}

// A thing whose client has never been here, or left nothing behind.
Response unknown(const Request& request) {
  Response response;
  response.set_thing_name(request.thing_name());
  response.set_disconnect_reason("UNKNOWN");
  return response;
}

void get(
    broker::Broker& broker, registry::Registry& registry, Request request, Reply<Response> reply
) {
  api::DescribeThingRequest describe;
  describe.set_thing_name(request.thing_name());
  if (const auto thing = registry.things().describe(describe); !thing) {
    reply(fail(thing.error()));
    return;
  }
  std::string client_id =
      registry.devices().client_of(request.thing_name()).value_or(request.thing_name());
  broker::Connections(broker).get(
      client_id,
      [client_id,
       request = std::move(request),
       reply = std::move(reply)](Result<broker::ConnectionInfo> info) mutable {
        if (info) {
          reply(response_of(request, client_id, *info));
        } else if (info.error().code() == Errc::kNotFound) {
          reply(unknown(request));
        } else {
          reply(fail(info.error()));
        }
      }
  );
}

}  // namespace

void register_connectivity_operation(
    OperationRegistry& operations,
    broker::Broker& broker,
    registry::Registry& registry,
    Executor& pool
) {
  operations.add_async<Request, Response>(
      "GetThingConnectivityData",
      [&broker, &registry, &pool](const CallContext&, Request request, Reply<Response> reply) {
        pool.post([&broker, &registry, request = std::move(request), reply = std::move(reply)](
                  ) mutable { get(broker, registry, std::move(request), std::move(reply)); });
      }
  );
}

}  // namespace iotcore::gateway
