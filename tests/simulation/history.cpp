#include "tests/simulation/history.h"

#include "broker/message.h"
#include "broker/retained.h"
#include "broker/topic_tree.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>

namespace iotcore::simulation {

namespace {

constexpr std::size_t kDevicesMax = 6;
constexpr unsigned kRoundsToRest = 5000;
constexpr std::chrono::seconds kRetry{
    1};                                 // after which the broker tries again what the store refused
constexpr std::size_t kFrameMax = 512;  // above the largest packet of a simulated device

}  // namespace

// What a rule's outbox or a shadow is to the broker: something that keeps messages and has their acknowledgements wait for it.
class History::DurableConsumer final : public broker::MessageConsumer {
 public:
  void on_message(broker::PublishContext& context) override {
    const std::string_view payload = context.publish().payload;
    if (context.publish().qos != broker::Qos::kAtMostOnce && !payload.empty()) {
      context.durable_batch().put(
          store::Table::kOutbox, payload.substr(0, payload.find(' ')), "kept"
      );
    }
  }
};

History::History(unsigned seed, std::uint64_t steps_max, Trace trace)
    : random_(seed),
      steps_(std::min<std::uint64_t>(steps_max, 200 + random_.below(800))),
      trace_(std::move(trace)),
      ledger_(rights_),
      consumer_(std::make_unique<DurableConsumer>()),
      surroundings_{
          random_,
          ledger_,
          now_,
          [this](const std::string& line) { this->trace(line); },
          [this](const std::shared_ptr<Wire>& wire, const std::string& client_id) {
            machine_->connect(wire, client_id, "principal-of-" + client_id);
          },
          lost_wires_,
          disk_failed_} {
  clock_.advance(std::chrono::hours(1));
  worker_count_ = 1 + random_.below(3);
  constexpr std::array<std::size_t, 4> kCacheEntries = {0, 1, 8, 64};
  options_.topic_cache_entries = kCacheEntries[random_.below(4)];
  options_.hash_seed = 1 + seed;
  options_.inflight_max =
      random_.one_in(3) ? static_cast<std::uint16_t>(1 + random_.below(4)) : 1000;
  options_.receive_maximum =
      random_.one_in(3) ? static_cast<std::uint16_t>(21 + random_.below(4)) : 1000;
  if (random_.one_in(4)) {
    options_.queued_messages_max = 1 + random_.below(20);
    options_.out_buffer_bytes_max = 500 + random_.below(2000);
    ledger_.little_room = true;
  }
  options_.disconnect_on_publish_denied = !random_.one_in(4);
  rights_.answer_later(random_.one_in(2));
  choose_weights();
  start_machine();
  const bool any_persistent = random_.one_in(2);
  for (std::size_t i = 0, count = 2 + random_.below(kDevicesMax - 1); i < count; ++i) {
    const bool persistent = any_persistent && random_.one_in(2);
    devices_.push_back(
        std::make_unique<Device>(surroundings_, fmt::format("device-{}", i), persistent)
    );
  }
}

History::~History() {
  machine_.reset();
}

// Each history has its own mixture, some of it left out, so that together they reach what one average mixture would not.
void History::choose_weights() {
  weights_[kTurn] = 30 + random_.below(100);
  weights_[kWrite] = 5 + random_.below(50);
  weights_[kAct] = 20 + random_.below(100);
  weights_[kRead] = 20 + random_.below(60);
  const auto rare = [this](unsigned most) {
    return random_.one_in(2) ? 0 : random_.below(most + 1);
  };
  weights_[kTime] = rare(10);
  weights_[kLose] = rare(8);
  weights_[kDisconnect] = rare(5);
  weights_[kDiskFails] = rare(3);
  weights_[kDiskMended] = 1 + random_.below(6);
  weights_[kCrash] = rare(2);
  weights_[kApiPublish] = rare(10);
  weights_[kApiDisconnect] = rare(3);
  weights_[kPolicy] = rare(4);
}

History::Event History::choose() {
  unsigned at = random_.below(std::accumulate(weights_.begin(), weights_.end(), 0U));
  std::size_t event = 0;
  for (; at >= weights_[event]; ++event) {
    at -= weights_[event];
  }
  return static_cast<Event>(event);
}

void History::trace(const std::string& line) {
  for (const char c : line) {
    fingerprint_ = (fingerprint_ ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  }
  if (trace_) {
    trace_(line);
  }
}

void History::start_machine() {
  ++life_;
  machine_ = std::make_unique<Machine>(store_, rights_, clock_, options_, worker_count_, random_);
  rights_.set_workers(machine_.get());
  machine_->shared().add_consumer("durable/#", *consumer_);
}

void History::crash() {
  trace(fmt::format("{:5} the server dies", now_));
  dropped_before_ += machine_->dropped_messages();
  ++ledger_.deaths;
  ++life_;  // whatever it still calls back is from a life that is over
  machine_.reset();
  settle_lost_wires();
  for (const auto& device : devices_) {
    if (const std::shared_ptr<Wire>& wire = device->wire()) {
      wire->to_device.resize(random_.below(static_cast<unsigned>(wire->to_device.size()) + 1));
      ledger_.settle(wire, now_);
    }
  }
  for (std::uint64_t i = 0; i < ledger_.size(); ++i) {
    Sent& sent = ledger_.sent(i);
    sent.settled = std::min(sent.settled, now_);
  }
  ledger_.check_durable(store_);
  start_machine();
  audit_retained();
}

void History::api_publish() {
  Sent sent;
  sent.publisher = "api";
  sent.topic = random_.one_in(2) ? "a/b" : "durable/x";
  sent.qos = random_.one_in(2) ? Qos::kAtMostOnce : Qos::kAtLeastOnce;
  sent.retain = random_.one_in(4);
  sent.at = now_;
  const std::uint64_t number = ledger_.add(sent);
  const std::string payload = Ledger::payload_of(number);
  trace(fmt::format("{:5} the API publishes {} on {}", now_, number, sent.topic));

  broker::PublishView publish;
  publish.topic = sent.topic;
  publish.payload = payload;
  publish.qos = sent.qos;
  publish.retain = sent.retain;
  publish.origin = broker::Origin::kHttp;
  broker::OwnedPublish owned;
  owned.message = broker::Message::make(publish);
  machine_->shared().publish(
      std::move(owned),
      [this, number, life = life_](const Result<std::uint32_t>& published) {
        if (life != life_) {
          return;
        }
        Sent& done = ledger_.sent(number);
        done.settled = now_;
        if (published) {
          done.promise = Sent::Promise::kKept;
          done.acknowledged = done.qos == Qos::kAtMostOnce ? kNever : now_;
        }
      }
  );
}

void History::change_policy() {
  const std::string& client_id = some_device().client_id();
  Rights::Secrets& secrets = rights_.secrets(client_id);
  secrets.allowed = !secrets.allowed;
  secrets.changed = now_;
  trace(fmt::format("{:5} {} may {}see secrets", now_, client_id, secrets.allowed ? "" : "not "));
}

void History::happen(Event event) {
  switch (event) {
    case kTurn:
      machine_->turn(some_worker(), false);
      settle_lost_wires();
      check_limits();
      return;
    case kWrite:
      store_.write_group(1 + random_.below(4));
      machine_->run_blocking();
      return;
    case kAct:
      some_device().act();
      return;
    case kRead:
      some_device().read(random_.one_in(4) ? random_.below(30) : 1U << 20U);
      return;
    case kTime:
      clock_.advance(std::chrono::milliseconds(random_.below(random_.one_in(3) ? 20'000 : 100)));
      return;
    case kLose:
      some_device().lose_connection();
      return;
    case kDisconnect:
      some_device().disconnect();
      return;
    case kDiskFails:
      trace(fmt::format("{:5} the disk fails", now_));
      disk_failed_ = ledger_.disk_failed = true;
      store_.fail_group(1 + random_.below(4), random_);
      return;
    case kDiskMended:
      store_.mend();
      return;
    case kCrash:
      crash();
      return;
    case kApiPublish:
      api_publish();
      return;
    case kApiDisconnect: {
      const std::string& client_id = some_device().client_id();
      trace(fmt::format("{:5} the API disconnects {}", now_, client_id));
      machine_->shared().disconnect_client(ClientId(client_id), broker::CloseReason::kApiRequest);
      return;
    }
    case kPolicy:
      change_policy();
      return;
    case kEvents:
      return;
  }
}

void History::settle_lost_wires() {
  std::erase_if(lost_wires_, [this](const std::shared_ptr<Wire>& wire) {
    if (wire->server_gone) {
      ledger_.settle(wire, now_);
    }
    return wire->server_gone;
  });
}

void History::check_limits() {
  // Whatever waits behind a window is bounded by messages; what is encoded, by bytes and the window.
  const std::size_t window = std::min<std::size_t>(options_.inflight_max, 1000);
  const std::size_t limit = options_.out_buffer_bytes_max + (window + 1000) * kFrameMax;
  if (machine_->out_bytes_max() > limit) {
    violated("an output buffer grew beyond its limit");
  }
}

void History::come_to_rest() {
  trace(fmt::format("{:5} everything comes to rest", now_));
  store_.mend();
  bool retried = !disk_failed_;
  for (unsigned round = 0;; ++round) {
    if (round > kRoundsToRest) {
      violated("it does not come to rest");
    }
    ++now_;
    for (std::size_t i = 0; i < machine_->count(); ++i) {
      machine_->turn(static_cast<WorkerId>(i), true);
    }
    settle_lost_wires();
    store_.write_group(store_.queued());
    machine_->run_blocking();
    bool moved = false;
    for (const auto& device : devices_) {
      device->open_window();
      moved = moved || (device->wire() != nullptr &&
                        (!device->wire()->to_device.empty() || device->wire()->server_gone));
      device->read(1U << 20U);
      device->acknowledge_all();
    }
    if (moved || !machine_->is_at_rest()) {
      continue;
    }
    if (retried) {
      return;
    }
    // What the failed disk has put off is tried once more.
    clock_.advance(kRetry);
    retried = true;
  }
}

// At rest, with both ends still there, everything has gone through, QoS 0 as well.
void History::promise_what_must_have_arrived() {
  for (std::uint64_t i = 0; i < ledger_.size(); ++i) {
    Sent& sent = ledger_.sent(i);
    if (sent.qos == Qos::kAtMostOnce && sent.wire != nullptr && !sent.wire->device_gone &&
        !sent.wire->server_gone && !sent.topic.starts_with(kForbidden) &&
        !sent.topic.starts_with(kSecret)) {
      sent.promise = Sent::Promise::kKept;
    }
  }
}

void History::audit_retained() {
  std::map<std::string, std::string> kept;
  machine_->shared().retained().match("#", [&](const broker::Message::Ref& message, std::int64_t) {
    kept.emplace(message->view().topic, message->view().payload);
  });
  ledger_.check_retained(kept, now_);
}

void History::bring_back_persistent() {
  for (const auto& device : devices_) {
    if (device->is_offline() && device->is_persistent()) {
      device->connect();
    }
  }
}

void History::run() {
  for (; now_ < steps_; ++now_) {
    happen(choose());
  }
  come_to_rest();
  bring_back_persistent();
  come_to_rest();
  promise_what_must_have_arrived();
  std::vector<const Session*> sessions;
  for (const auto& device : devices_) {
    if (device->is_online()) {
      sessions.push_back(&device->session());
    }
  }
  ledger_.check_arrivals(sessions, machine_->dropped_messages() + dropped_before_);
  ledger_.check_durable(store_);
  audit_retained();
  bool any_kept = false;
  for (const auto& device : devices_) {
    any_kept = any_kept || device->is_persistent();
    device->disconnect();
  }
  come_to_rest();
  machine_->shared().tree().collect();
  // The durable consumer's filter is what is left.
  if (!any_kept && machine_->shared().tree().filter_count() != 1) {
    violated("filters of clients that have gone are still in the topic tree");
  }
  crash();
}

}  // namespace iotcore::simulation
