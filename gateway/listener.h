#pragma once

#include "gateway/gateway.h"
#include "net/event_loop.h"

namespace iotcore::gateway {

class WorkerGateway;

// One face's listening socket on one worker.
class Listener final : public net::IoHandler {
 public:
  Listener(WorkerGateway& gateway, const Face& face, net::UniqueFd socket);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Accepts a bounded number, so that a storm of connections never starves those that are there.
  void on_io(std::uint32_t events) override;

 private:
  static constexpr int kAcceptsPerTurn = 64;

  bool accept_one();
  // Stops listening for that long.
  void pause(Duration duration);
  void on_out_of_descriptors();

  WorkerGateway& gateway_;
  const Face& face_;
  net::UniqueFd socket_;
  // Given up for a moment when descriptors run out, so that a waiting connection can be taken and closed instead of waking us for ever.
  net::UniqueFd spare_;
  TimerHandle resume_;
};

}  // namespace iotcore::gateway
