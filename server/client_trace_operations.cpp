#include "server/client_trace_operations.h"

#include "broker/connections.h"
#include "proto/api/client_traces.pb.h"

#include <utility>

namespace iotcore::server {
namespace {

api::TraceClientResponse response_of(const broker::ClientTrace::Page& page) {
  api::TraceClientResponse response;
  for (const broker::ClientTraceEvent& event : page.events) {
    api::TraceClientResponse::Event& shown = *response.add_events();
    shown.set_number(static_cast<std::int64_t>(event.number));
    shown.set_date(event.time_ms);
    shown.set_kind(std::string(broker::name_of(event.kind)));
    shown.set_what(event.what);
    shown.set_detail(event.detail);
  }
  response.set_next(static_cast<std::int64_t>(page.next));
  response.set_missed(static_cast<std::int64_t>(page.missed));
  return response;
}

}  // namespace

void register_client_trace_operations(
    gateway::OperationRegistry& operations, broker::Broker& broker
) {
  operations.add_async<api::TraceClientRequest, api::TraceClientResponse>(
      "TraceClient",
      [&broker](
          const gateway::CallContext&,
          api::TraceClientRequest request,
          gateway::Reply<api::TraceClientResponse> reply
      ) {
        if (request.after() < 0) {
          reply(fail(Errc::kInvalidRequest, "after is what an earlier answer named next"));
          return;
        }
        broker::Connections(broker).trace(
            request.client_id(),
            static_cast<std::uint64_t>(request.after()),
            [reply = std::move(reply)](Result<broker::ClientTrace::Page> page) mutable {
              if (!page) {
                reply(fail(page.error()));
              } else {
                reply(response_of(*page));
              }
            }
        );
      }
  );
}

}  // namespace iotcore::server
