#include "gateway/gateway.h"

#include "base/log.h"
#include "gateway/worker_gateway.h"

#include <algorithm>
#include <thread>

namespace iotcore::gateway {

Duration AcceptRate::wait(MonotonicTime now) const {
  return Duration(due_.load(std::memory_order_relaxed)) - kBurst - now.time_since_epoch();
}

void AcceptRate::take(MonotonicTime now, std::uint32_t per_s_max) {
  const Duration apart = std::chrono::nanoseconds(1'000'000'000 / per_s_max);
  Duration::rep due = due_.load(std::memory_order_relaxed);
  Duration::rep next = 0;
  do {
    next = (std::max(Duration(due), now.time_since_epoch()) + apart).count();
  } while (!due_.compare_exchange_weak(due, next, std::memory_order_relaxed));
}

Gateway::Gateway(
    WorkerThreads& workers, ClientFactory& clients, Metrics& metrics, GatewayLimits limits
)
    : workers_(workers), clients_(clients), metrics_(metrics), limits_(limits) {
  for (std::size_t i = 0; i < workers_.count(); ++i) {
    per_worker_.push_back(std::make_unique<WorkerGateway>(*this, static_cast<WorkerId>(i)));
  }
}

Gateway::~Gateway() = default;

Status Gateway::open(std::vector<FaceConfig> faces) {
  // All sockets first: either every face is there, or none accepts.
  std::vector<std::vector<net::UniqueFd>> sockets;
  for (FaceConfig& config : faces) {
    auto face = std::make_unique<Face>();
    net::ListenAddress address = config.address;
    std::vector<net::UniqueFd>& of_face = sockets.emplace_back();
    for (std::size_t i = 0; i < workers_.count(); ++i) {
      IOTCORE_ASSIGN(net::UniqueFd socket, net::listen_on(address, limits_.backlog));
      address.port = net::local_port(socket.get());
      of_face.push_back(std::move(socket));
    }
    face->port = address.port;
    const MetricLabels labels = {{"face", config.name}};
    face->open =
        &metrics_.gauge("iotcore_connections_open", "Connections open now, by face.", labels);
    face->accepted = &metrics_.counter(
        "iotcore_connections_accepted_total", "Connections accepted, by face.", labels
    );
    face->config = std::move(config);
    faces_.push_back(std::move(face));
  }
  workers_.run_on_each([&](WorkerId worker) {
    for (std::size_t i = 0; i < faces_.size(); ++i) {
      per_worker_[index(worker)]->listen(*faces_[i], std::move(sockets[i][index(worker)]));
    }
  });
  for (const auto& face : faces_) {
    log(LogLevel::kInfo,
        "listener.open",
        {{"face", face->config.name}, {"host", face->config.address.host}, {"port", face->port}});
  }
  return {};
}

std::uint16_t Gateway::port(std::string_view face) const {
  const auto found = std::find_if(faces_.begin(), faces_.end(), [&](const auto& candidate) {
    return candidate->config.name == face;
  });
  return found == faces_.end() ? std::uint16_t{0} : (*found)->port;
}

void Gateway::close(std::chrono::milliseconds drain_max) {
  const auto give_up_at = std::chrono::steady_clock::now() + drain_max;
  workers_.run_on_each([&](WorkerId worker) { per_worker_[index(worker)]->shut_down(); });
  while (open_connections() > 0 && std::chrono::steady_clock::now() < give_up_at) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  workers_.run_on_each([&](WorkerId worker) { per_worker_[index(worker)]->close_all(); });
}

}  // namespace iotcore::gateway
