#include "broker/broker.h"

#include "base/log.h"
#include "base/memory_use.h"
#include "broker/client_session.h"
#include "broker/consumer_table.h"
#include "broker/on_all_workers.h"
#include "broker/quiescent.h"
#include "broker/retained.h"
#include "broker/session.h"
#include "broker/stored_sessions.h"
#include "broker/topic_tree.h"
#include "broker/worker_broker.h"
#include "broker/worker_sessions.h"
#include "store/store.h"

#include <future>
#include <utility>

namespace iotcore::broker {
namespace {

TopicTree::Options tree_options(const BrokerOptions& options) {
  TopicTree::Options tree;
  tree.hash_matches_parent = options.hash_matches_parent;
  tree.hash_seed = options.hash_seed;
  return tree;
}

RetainedLimits retained_limits(const BrokerOptions& options) {
  RetainedLimits limits;
  limits.messages_max = options.retained_messages_max;
  limits.bytes_max = options.retained_bytes_max;
  limits.payload_bytes_max = options.retained_payload_bytes_max;
  limits.interval_ms = options.retained_interval_ms;
  limits.per_s_max = options.retained_per_s_max;
  limits.hash_matches_parent = options.hash_matches_parent;
  limits.hash_seed = options.hash_seed;
  return limits;
}

void register_memory_gauges(Metrics& metrics) {
  metrics.gauge_from(
      "iotcore_memory_used_bytes",
      "Messages, unsent output and unfinished input, held against mqtt.memory_bytes_max",
      {},
      [] { return static_cast<double>(MemoryUse::total()); }
  );
  metrics.gauge_from(
      "iotcore_memory_ceiling_bytes",
      "Where clients are refused everything new",
      {},
      [] { return static_cast<double>(MemoryUse::ceiling()); }
  );
}

}  // namespace

Broker::Broker(
    BrokerOptions options,
    Workers& workers,
    store::Store& store,
    Authorizer& authorizer,
    const Clock& clock,
    Metrics& metrics
)
    : options_(std::move(options)),
      workers_(workers),
      store_(store),
      authorizer_(authorizer),
      clock_(clock),
      metrics_(metrics),
      quiescent_(std::make_unique<QuiescentDomain>(workers.count())),
      tree_(std::make_unique<TopicTree>(*quiescent_, tree_options(options_))),
      retained_(std::make_unique<RetainedMessages>(store, clock, retained_limits(options_))),
      sessions_(std::make_unique<StoredSessions>(workers.count())),
      consumers_(std::make_unique<ConsumerTable>(*tree_, *quiescent_)),
      mailboxes_(std::make_unique<Mailbox[]>(workers.count())) {
  MemoryUse::set_ceiling(options_.memory_bytes_max);
  register_memory_gauges(metrics_);
  metrics_.gauge_from("iotcore_retained_messages", "Retained messages kept", {}, [this] {
    return static_cast<double>(retained_->count());
  });
  metrics_.gauge_from("iotcore_retained_bytes", "Memory of retained messages", {}, [this] {
    return static_cast<double>(retained_->bytes());
  });
  metrics_.gauge_from(
      "iotcore_sessions_persistent",
      "Persistent sessions, of clients that are connected and of those that are not",
      {},
      [this] { return static_cast<double>(sessions_->count()); }
  );
  metrics_.gauge_from(
      "iotcore_topic_filters",
      "Distinct topic filters in the topic tree",
      {},
      [this] { return static_cast<double>(tree_->filter_count()); }
  );
}

Broker::~Broker() = default;

Status Broker::load() {
  IOTCORE_TRY(retained_->load());
  return sessions_->load(*this);
}

ConsumerId Broker::add_consumer(std::string_view filter, MessageConsumer& consumer) {
  return static_cast<ConsumerId>(consumers_->add(filter, consumer));
}

void Broker::remove_consumer(ConsumerId id, Function<void()> gone) {
  consumers_->remove(static_cast<std::uint64_t>(id));
  if (gone) {
    // Once each has run a task, none is inside the consumer any more.
    run_on_all(
        workers_, [](WorkerId) {}, std::move(gone)
    );
  }
}

namespace {

// The acknowledgement of a publish from outside.
class OutsideAck final : public PendingAck, public AckSource {
 public:
  OutsideAck(WorkerBroker& worker, Broker::PublishDone done)
      : PendingAck(&OutsideAck::on_complete),
        lifeline_(worker.lifeline()),
        done_(std::move(done)) {}

  PendingAck& make() override { return *this; }

  // The publish has gone to so many; it is not waited for by anybody else if `deferred` is false.
  void published(const PublishResult& result) {
    receivers_ = result.receivers;
    refused_ = result.retain_refused;
    if (!result.deferred) {
      answer(std::nullopt);
      delete this;
    }
  }

 private:
  static void on_complete(PendingAck& self, std::optional<Errc> failure) {
    // Of this and of the task, which a worker that ends may drop.
    const std::shared_ptr<OutsideAck> ack(static_cast<OutsideAck*>(&self));
    // Posted even on the worker itself: the publish may still be under way.
    const bool posted = ack->lifeline_->post([ack, failure] { ack->answer(failure); });
    if (!posted) {
      ack->answer(Errc::kUnavailable);
    }
  }

  void answer(std::optional<Errc> failure) {
    if (failure) {
      done_(fail(*failure, "the message could not be kept"));
    } else if (refused_) {
      done_(fail(Errc::kQuotaExceeded, "the limit of retained messages is reached"));
    } else {
      done_(receivers_);
    }
  }

  std::shared_ptr<WorkerLifeline> lifeline_;  // the worker's
  Broker::PublishDone done_;
  std::uint32_t receivers_ = 0;
  bool refused_ = false;
};

}  // namespace

void Broker::publish(OwnedPublish publish, PublishDone done) {
  // Publishes to one topic take one way, so that they keep their order.
  const WorkerId owner = workers_.owner_of(publish.message->view().topic);
  workers_.executor(owner).post([this, owner, publish = std::move(publish), done = std::move(done)](
                                ) mutable {
    WorkerBroker& worker = workers_.broker(owner);
    Publisher publisher;
    publisher.client_id = publish.client_id;
    publisher.principal = publish.principal;
    publisher.source_ip = publish.source_ip;
    const PublishView& view = publish.message->view();
    auto* ack = new OutsideAck(worker, std::move(done));
    ack->published(worker.publish(publisher, view, view.qos == Qos::kAtMostOnce ? nullptr : ack));
  });
}

void Broker::disconnect_client(const ClientId& client, CloseReason reason) {
  const WorkerId owner = workers_.owner_of(client.view());
  workers_.executor(owner).post([this, owner, client, reason] {
    ClientSession* session = workers_.broker(owner).clients().find_by_id(client.view());
    if (session != nullptr) {
      session->close(reason, mqtt::Reason::kAdministrativeAction);
    }
  });
}

void Broker::disconnect_principal(std::string_view principal, CloseReason reason) {
  for (std::size_t i = 0; i < workers_.count(); ++i) {
    const auto worker = static_cast<WorkerId>(i);
    workers_.executor(worker).post([this, worker, principal = std::string(principal), reason] {
      workers_.broker(worker).clients().for_each([&](ClientSession& session) {
        if (session.principal() == principal) {
          session.close(reason, mqtt::Reason::kAdministrativeAction);
        }
      });
    });
  }
}

Status Broker::wipe() {
  const auto on_all = [this](std::function<void(WorkerId)> task) {
    std::promise<void> done;
    const std::future<void> all_done = done.get_future();
    run_on_all(workers_, std::move(task), [done = std::move(done)]() mutable { done.set_value(); });
    all_done.wait();
  };
  on_all([this](WorkerId worker) {
    WorkerBroker& broker = workers_.broker(worker);
    broker.clients().for_each([](ClientSession& client) {
      if (client.session() != nullptr && client.session()->is_persistent()) {
        client.close(CloseReason::kApiRequest, mqtt::Reason::kAdministrativeAction);
      }
    });
    broker.sessions().wipe();
  });
  // What those turns have put off, wills among it, and their commits are behind them when the next ones run something.
  on_all([](WorkerId) {});
  retained_->clear();
  store::Batch batch;
  batch.erase_prefix(store::Table::kRetained, "m");
  IOTCORE_ASSIGN(const store::Revision revision, store_.commit_wait(std::move(batch)));
  static_cast<void>(revision);
  return {};
}

}  // namespace iotcore::broker
