#pragma once

#include "base/ids.h"
#include "base/metrics.h"
#include "broker/client.h"

#include <memory>
#include <optional>
#include <string_view>

namespace iotcore::broker {
class Workers;
}

namespace iotcore::gateway {

// Where the MQTT side of connections comes from: the broker, or a test.
class ClientFactory {
 public:
  virtual ~ClientFactory() = default;

  // As broker::Client::peek_client_id. Any worker.
  virtual Result<std::optional<std::string_view>> peek_client_id(std::string_view bytes) = 0;
  // On that worker.
  virtual std::unique_ptr<broker::Client> make(
      WorkerId worker, broker::Link& link, broker::PeerIdentity peer, bool over_websocket
  ) = 0;
  // Where that worker's connections count their bytes. Before the workers run.
  virtual void counts_traffic(WorkerId worker, const Counter& received, const Counter& sent) = 0;
};

class BrokerClients final : public ClientFactory {
 public:
  BrokerClients(broker::Workers& workers, std::size_t packet_bytes_max)
      : workers_(workers), packet_bytes_max_(packet_bytes_max) {}

  Result<std::optional<std::string_view>> peek_client_id(std::string_view bytes) override;
  std::unique_ptr<broker::Client> make(
      WorkerId worker, broker::Link& link, broker::PeerIdentity peer, bool over_websocket
  ) override;
  void counts_traffic(WorkerId worker, const Counter& received, const Counter& sent) override;

 private:
  broker::Workers& workers_;
  std::size_t packet_bytes_max_;
};

}  // namespace iotcore::gateway
