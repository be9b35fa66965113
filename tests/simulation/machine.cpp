#include "tests/simulation/machine.h"

#include "base/check.h"
#include "broker/quiescent.h"

#include <algorithm>
#include <utility>

namespace iotcore::simulation {

ServerEnd::ServerEnd(
    broker::WorkerBroker& worker, std::shared_ptr<Wire> wire, broker::PeerIdentity peer
)
    : wire_(std::move(wire)),
      client_(broker::Client::make(worker, *this, std::move(peer), false)) {}

ServerEnd::~ServerEnd() {
  wire_->server_gone = true;
}

bool ServerEnd::has_work() const {
  if (is_over()) {
    return false;
  }
  const bool can_read =
      reading_ && !closing_ && (!wire_->to_server.empty() || wire_->device_gone || offer_again_);
  const bool can_write =
      !out_.empty() && (wire_->device_gone || wire_->to_device.size() < wire_->room);
  return can_read || can_write || (closing_ && out_.empty());
}

void ServerEnd::receive(std::size_t bytes_max) {
  if (is_over() || closing_ || !reading_) {
    return;
  }
  const std::size_t taken = std::min(bytes_max, wire_->to_server.size());
  unread_.append(wire_->to_server, 0, taken);
  wire_->to_server.erase(0, taken);
  offer();
  if (wire_->device_gone && wire_->to_server.empty() && reading_ && !closing_) {
    std::exchange(client_, nullptr)->on_closed(broker::CloseReason::kConnectionLost);
  }
}

void ServerEnd::offer() {
  offer_again_ = false;
  while (reading_ && !closing_ && !unread_.empty()) {
    const std::size_t taken = client_->on_bytes(unread_);
    unread_.erase(0, taken);
    if (taken == 0) {
      return;
    }
  }
}

void ServerEnd::flush() {
  flush_queued_ = false;
  if (is_over()) {
    return;
  }
  const std::size_t room = wire_->device_gone
                               ? out_.size()
                               : wire_->room - std::min(wire_->room, wire_->to_device.size());
  const std::size_t written = std::min(room, out_.size());
  if (!wire_->device_gone) {
    wire_->to_device.append(out_.view().substr(0, written));
  }
  out_.consume(written);
  if (closing_ && out_.empty()) {
    std::exchange(client_, nullptr)->on_closed(*closing_);
  } else if (is_sent()) {
    client_->on_sent();
  }
}

Machine::Machine(
    SimulatedStore& store,
    broker::Authorizer& authorizer,
    const Clock& clock,
    const broker::BrokerOptions& options,
    std::size_t worker_count,
    broker::Random& random
)
    : store_(store),
      clock_(clock),
      random_(random),
      executors_(worker_count),
      timers_(worker_count),
      workers_(worker_count),
      connections_(worker_count) {
  store_.restarted();
  broker_ = std::make_unique<broker::Broker>(options, *this, store_, authorizer, clock, metrics_);
  for (std::size_t i = 0; i < worker_count; ++i) {
    workers_[i] =
        std::make_unique<broker::WorkerBroker>(*broker_, static_cast<WorkerId>(i), timers_[i]);
  }
  IOTCORE_CHECK(broker_->load().has_value());
}

Machine::~Machine() {
  // No turn ends any more, so nothing of what follows is written or sent; it only gives memory back.
  store_.crash(random_);
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    workers_[i]->bind_to_thread();
    connections_[i].clear();
  }
  for (bool again = true; again;) {
    again = blocking_.run_one() || store_.reads().run_one();
    for (std::size_t i = 0; i < executors_.size(); ++i) {
      workers_[i]->bind_to_thread();
      again = executors_[i].run_one() || again;
    }
  }
}

void Machine::connect(
    const std::shared_ptr<Wire>& wire, std::string_view client_id, std::string principal
) {
  const WorkerId owner = owner_of(client_id);
  broker::PeerIdentity peer;
  peer.kind = broker::PeerIdentity::Kind::kCertificate;
  peer.principal = std::move(principal);
  workers_[index(owner)]->bind_to_thread();
  connections_[index(owner)].push_back(
      std::make_unique<ServerEnd>(*workers_[index(owner)], wire, std::move(peer))
  );
}

void Machine::run_tasks(WorkerId id) {
  for (std::size_t tasks = executors_[index(id)].size(); tasks > 0; --tasks) {
    executors_[index(id)].run_one();
  }
}

void Machine::read_connections(WorkerId id, bool everything) {
  // They are readable in any order, and not all at once.
  const auto& connections = connections_[index(id)];
  const auto count = static_cast<unsigned>(connections.size());
  const std::size_t first = count == 0 ? 0 : random_.below(count);
  for (std::size_t i = 0; i < count; ++i) {
    ServerEnd& connection = *connections[(first + i) % count];
    if (everything) {
      connection.receive(1U << 20U);
    } else if (random_.one_in(2)) {
      connection.receive(random_.one_in(4) ? random_.below(16) : 1U << 20U);
    }
  }
}

void Machine::turn(WorkerId id, bool everything) {
  broker::WorkerBroker& worker = *workers_[index(id)];
  auto& connections = connections_[index(id)];
  worker.bind_to_thread();
  broker_->quiescent().online(id);
  // What others post may come while sockets are being read.
  const bool tasks_first = random_.one_in(2);
  if (tasks_first) {
    run_tasks(id);
  }
  timers_[index(id)].advance(clock_.now());
  read_connections(id, everything);
  if (!tasks_first) {
    run_tasks(id);
  }
  worker.end_turn();
  for (const auto& connection : connections) {
    connection->flush();
  }
  std::erase_if(connections, [](const auto& connection) { return connection->is_over(); });
  worker.end_turn();  // what the end of connections has left behind
  broker_->quiescent().quiescent(id);
  broker_->quiescent().offline(id);
}

void Machine::run_blocking() {
  blocking_.run_one();
  store_.reads().run_one();
}

bool Machine::is_at_rest() const {
  const auto idle = [](const auto& connections) {
    return std::none_of(connections.begin(), connections.end(), [](const auto& connection) {
      return connection->has_work();
    });
  };
  const auto empty = [](const StepExecutor& executor) { return executor.empty(); };
  return std::all_of(executors_.begin(), executors_.end(), empty) && blocking_.empty() &&
         store_.reads().empty() && store_.queued() == 0 &&
         std::all_of(connections_.begin(), connections_.end(), idle);
}

std::size_t Machine::out_bytes_max() const {
  std::size_t most = 0;
  for (const auto& connections : connections_) {
    for (const auto& connection : connections) {
      most = std::max(most, connection->out_bytes());
    }
  }
  return most;
}

std::uint64_t Machine::dropped_messages() {
  std::uint64_t dropped = 0;
  for (const auto& worker : workers_) {
    const auto& counters = worker->counters();
    dropped += counters.dropped_queue_full.value() + counters.dropped_slow.value();
  }
  return dropped;
}

}  // namespace iotcore::simulation
