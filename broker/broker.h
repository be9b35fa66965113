#pragma once

#include "base/clock.h"
#include "base/function.h"
#include "base/ids.h"
#include "base/metrics.h"
#include "base/result.h"
#include "broker/link.h"
#include "broker/message.h"
#include "broker/options.h"
#include "broker/publish_context.h"
#include "broker/workers.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace iotcore::store {
class Store;
}

namespace iotcore::broker {

class Authorizer;
class ConsumerTable;
struct OwnedPublish;
class QuiescentDomain;
class RetainedMessages;
class StoredSessions;
class TopicTree;

// Identifies a consumer's subscription.
enum class ConsumerId : std::uint64_t {};

// What the workers' brokers share: the topic tree, the retained messages, the consumers inside the server. Its members may be
// called on any thread unless they say otherwise.
class Broker {
 public:
  Broker(
      BrokerOptions options,
      Workers& workers,
      store::Store& store,
      Authorizer& authorizer,
      const Clock& clock,
      Metrics& metrics
  );
  ~Broker();

  // Reads the retained messages and the sessions. Once, when all workers have their brokers and before they run.
  Status load();

  // Delivers every message that matches `filter` to `consumer` on the publisher's worker. From this call's return on, no publish that starts later misses it.
  ConsumerId add_consumer(std::string_view filter, MessageConsumer& consumer);
  // The consumer may be destroyed once `gone` has been called: when no worker can be inside it any more.
  void remove_consumer(ConsumerId id, Function<void()> gone);

  // The consumer of Basic Ingest publishes: `$aws/rules/…` reaches it and nobody else. Once, before the first client.
  void set_basic_ingest(MessageConsumer* consumer) { basic_ingest_ = consumer; }

  // A publish from a thread that is no worker, such as the API's. Checked by the caller. `done` is called on the publishing worker, when the publish is
  // as durable as its QoS promises: with the number of receivers, or with why it can't be acknowledged.
  using PublishDone = Function<void(Result<std::uint32_t>)>;
  void publish(OwnedPublish publish, PublishDone done);

  // Closes the connections of that client, or of every client of that principal.
  void disconnect_client(const ClientId& client, CloseReason reason);
  void disconnect_principal(std::string_view principal, CloseReason reason);

  // Forgets every retained message and every session, whose clients are disconnected: /_iotcore/reset. Blocks: not on a worker.
  Status wipe();

  const BrokerOptions& options() const { return options_; }

  Workers& workers() { return workers_; }

  store::Store& store() { return store_; }

  Authorizer& authorizer() { return authorizer_; }

  const Clock& clock() const { return clock_; }

  Metrics& metrics() { return metrics_; }

  TopicTree& tree() { return *tree_; }

  RetainedMessages& retained() { return *retained_; }

  StoredSessions& sessions() { return *sessions_; }

  ConsumerTable& consumers() { return *consumers_; }

  QuiescentDomain& quiescent() { return *quiescent_; }

  MessageConsumer* basic_ingest() { return basic_ingest_; }

  // What other workers have sent to that worker and it has not looked at.
  std::atomic<std::int64_t>& mailbox_bytes(WorkerId worker) {
    return mailboxes_[index(worker)].bytes;
  }

 private:
  struct alignas(64) Mailbox {
    std::atomic<std::int64_t> bytes = 0;
  };

  BrokerOptions options_;
  Workers& workers_;
  store::Store& store_;
  Authorizer& authorizer_;
  const Clock& clock_;
  Metrics& metrics_;
  std::unique_ptr<QuiescentDomain> quiescent_;
  std::unique_ptr<TopicTree> tree_;
  std::unique_ptr<RetainedMessages> retained_;
  std::unique_ptr<StoredSessions> sessions_;
  std::unique_ptr<ConsumerTable> consumers_;
  std::unique_ptr<Mailbox[]> mailboxes_;
  MessageConsumer* basic_ingest_ = nullptr;
};

}  // namespace iotcore::broker
