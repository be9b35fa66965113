#include "tests/conformance/memory_world.h"

#include "tests/conformance/failure.h"

#include <algorithm>
#include <functional>

namespace iotcore::conformance {

using broker::CloseReason;

// A connection in memory: the broker's link, and the case's end of it. Like the gateway, it goes to its client id's worker once the first packet is there.
class MemoryWire final : public Wire, public broker::Link {
 public:
  explicit MemoryWire(MemoryWorld& world) : world_(world) {}

  ~MemoryWire() override { world_.forget(*this); }

  void send(std::string_view bytes) override {
    constexpr std::size_t kSingly = 48;
    if (world_.in_pieces()) {
      for (std::size_t i = 0; i < kSingly && !bytes.empty(); ++i) {
        take(bytes.substr(0, 1));
        bytes.remove_prefix(1);
      }
    }
    take(bytes);
    world_.settle();
  }

  bool receive(std::string& bytes, std::chrono::milliseconds /*patience*/) override {
    world_.settle();
    bytes.append(out_.view());
    out_.consume(out_.size());
    flush_queued_ = false;
    if (client_ != nullptr && is_sent()) {
      client_->on_sent();
    }
    return !closed_;
  }

  void drop() override {
    end(CloseReason::kConnectionLost);
    world_.settle();
  }

  // The process died.
  void die() {
    client_.reset();
    closed_ = true;
  }

  void close(CloseReason reason) override {
    closed_ = true;
    reason_ = reason;
  }

  void set_reading(bool on) override {
    reading_ = on;
    if (on && !offering_) {
      offer();
    }
  }

  // What the gateway does after a turn: the end of a closed connection is told to its client.
  bool finish() {
    if (!closed_ || client_ == nullptr) {
      return false;
    }
    end(reason_);
    return true;
  }

 protected:
  void queue_flush() override {}

 private:
  void take(std::string_view bytes) {
    unread_.append(bytes);
    if (!closed_ && (client_ != nullptr || choose_worker())) {
      offer();
    }
  }

  bool choose_worker() {
    const auto id = broker::Client::peek_client_id(unread_, world_.options().packet_bytes_max);
    if (id && !*id) {
      return false;
    }
    client_ =
        broker::Client::make(world_.worker_of(id ? **id : std::string_view()), *this, {}, false);
    return true;
  }

  void offer() {
    offering_ = true;
    while (reading_ && !closed_ && client_ != nullptr) {
      const std::size_t taken = client_->on_bytes(unread_);
      unread_.erase(0, taken);
      if (taken == 0) {
        break;
      }
    }
    offering_ = false;
  }

  void end(CloseReason reason) {
    closed_ = true;
    if (client_ != nullptr) {
      client_->on_closed(reason);
      client_.reset();
    }
  }

  MemoryWorld& world_;
  std::unique_ptr<broker::Client> client_;
  std::string unread_;
  CloseReason reason_ = CloseReason::kConnectionLost;
  bool closed_ = false;
  bool reading_ = true;
  bool offering_ = false;
};

struct MemoryWorld::Process {
  Process(MemoryWorld& world)
      : workers(world.worker_count_),
        timers(world.worker_count_),
        broker(std::make_unique<broker::Broker>(
            world.options_, workers, world.store_, world.authorizer_, world.clock_, metrics
        )) {
    for (std::size_t i = 0; i < workers.count(); ++i) {
      workers.brokers_[i] = std::make_unique<broker::WorkerBroker>(*broker, WorkerId(i), timers[i]);
    }
    if (const Status loaded = broker->load(); !loaded) {
      throw Failure("the broker does not load: " + std::string(loaded.error().message()));
    }
  }

  ~Process() { workers.brokers_.clear(); }

  Metrics metrics;
  broker::test::TestWorkers workers;
  std::vector<TimerWheel> timers;
  std::unique_ptr<broker::Broker> broker;
};

MemoryWorld::MemoryWorld(std::size_t workers, bool in_pieces)
    : worker_count_(workers), in_pieces_(in_pieces) {
  clock_.advance(std::chrono::seconds(1));
}

MemoryWorld::~MemoryWorld() {
  for (MemoryWire* wire : wires_) {
    wire->die();
  }
}

MemoryWorld::Process& MemoryWorld::process() {
  if (process_ == nullptr) {
    process_ = std::make_unique<Process>(*this);
  }
  return *process_;
}

std::unique_ptr<Wire> MemoryWorld::open() {
  process();
  auto wire = std::make_unique<MemoryWire>(*this);
  wires_.push_back(wire.get());
  return wire;
}

void MemoryWorld::forget(MemoryWire& wire) {
  wires_.erase(std::remove(wires_.begin(), wires_.end(), &wire), wires_.end());
}

broker::WorkerBroker& MemoryWorld::worker_of(std::string_view client_id) {
  broker::test::TestWorkers& workers = process().workers;
  broker::WorkerBroker& worker =
      *workers.brokers_[client_id.empty() ? 0 : index(workers.owner_of(client_id))];
  worker.bind_to_thread();
  return worker;
}

void MemoryWorld::settle() {
  if (process_ == nullptr) {
    return;
  }
  broker::test::TestWorkers& workers = process_->workers;
  bool again = true;
  while (again) {
    again = false;
    for (std::size_t i = 0; i < workers.count(); ++i) {
      workers.brokers_[i]->bind_to_thread();
      workers.executors_[i].run();
      workers.brokers_[i]->end_turn();
    }
    workers.blocking_.run();
    store_.run_reads();
    for (const broker::test::QueueExecutor& executor : workers.executors_) {
      again = again || !executor.empty();
    }
    for (MemoryWire* wire : wires_) {
      again = wire->finish() || again;
    }
  }
}

void MemoryWorld::wait(std::chrono::milliseconds time) {
  // In pieces, because what a timer starts is due only in a later turn.
  constexpr int kPieces = 64;
  Process& running = process();
  for (int i = 0; i < kPieces; ++i) {
    clock_.advance(Duration(time) / kPieces);
    for (std::size_t worker = 0; worker < running.timers.size(); ++worker) {
      running.workers.brokers_[worker]->bind_to_thread();
      running.timers[worker].advance(clock_.now());
    }
    settle();
  }
}

void MemoryWorld::restart() {
  settle();
  for (MemoryWire* wire : wires_) {
    wire->die();
  }
  for (auto& worker : process().workers.brokers_) {
    worker.reset();
  }
  store_.run_reads();
  process_->workers.drop_tasks();
  process_.reset();
  process();
  settle();
}

void MemoryWorld::deny(const std::string& action, const std::string& name) {
  static const std::map<std::string, broker::Action> kActions = {
      {"connect", broker::Action::kConnect},
      {"publish", broker::Action::kPublish},
      {"subscribe", broker::Action::kSubscribe},
      {"receive", broker::Action::kReceive},
      {"retain", broker::Action::kRetainPublish},
  };
  authorizer_.denied.emplace_back(kActions.at(action), name);
}

void MemoryWorld::set_option(const std::string& name, std::size_t value) {
  const auto u16 = [value] { return static_cast<std::uint16_t>(value); };
  const std::map<std::string, std::function<void()>> setters = {
      {"packet_bytes_max", [&] { options_.packet_bytes_max = value; }},
      {"receive_maximum", [&] { options_.receive_maximum = u16(); }},
      {"inflight_max", [&] { options_.inflight_max = u16(); }},
      {"queued_messages_max", [&] { options_.queued_messages_max = value; }},
      {"topic_alias_maximum", [&] { options_.topic_alias_maximum = u16(); }},
      {"keep_alive_s_max", [&] { options_.keep_alive_s_max = u16(); }},
      {"subscriptions_per_client_max", [&] { options_.subscriptions_per_client_max = value; }},
      {"filters_per_subscribe_max", [&] { options_.filters_per_subscribe_max = value; }},
      {"retained_messages_max", [&] { options_.retained_messages_max = value; }},
      {"client_id_bytes_max", [&] { options_.client_id_bytes_max = value; }},
      {"topic_bytes_max", [&] { options_.topic_bytes_max = value; }},
      {"disconnect_on_publish_denied", [&] { options_.disconnect_on_publish_denied = value != 0; }},
  };
  const auto found = setters.find(name);
  if (found == setters.end()) {
    throw Failure("no option of the name " + name);
  }
  found->second();
}

}  // namespace iotcore::conformance
