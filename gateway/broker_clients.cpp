#include "broker/worker_broker.h"
#include "broker/workers.h"
#include "gateway/client_factory.h"

namespace iotcore::gateway {

Result<std::optional<std::string_view>> BrokerClients::peek_client_id(std::string_view bytes) {
  return broker::Client::peek_client_id(bytes, packet_bytes_max_);
}

std::unique_ptr<broker::Client> BrokerClients::make(
    WorkerId worker, broker::Link& link, broker::PeerIdentity peer, bool over_websocket
) {
  return broker::Client::make(workers_.broker(worker), link, std::move(peer), over_websocket);
}

void BrokerClients::counts_traffic(WorkerId worker, const Counter& received, const Counter& sent) {
  workers_.broker(worker).set_traffic({&received, &sent});
}

}  // namespace iotcore::gateway
