#pragma once

#include "base/ids.h"
#include "base/metrics.h"
#include "broker/broker.h"
#include "shadow/document/operations.h"
#include "shadow/options.h"
#include "shadow/owner_metrics.h"
#include "shadow/request.h"
#include "shadow/shadow_cache.h"
#include "store/store.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::broker {
class AckSource;
}

namespace iotcore::shadow {

// What a request comes to, and what is published because of it.
struct Answer {
  Request request;
  Result<std::string> body;    // of …/accepted, or why it is …/rejected; empty: nobody wants it
  std::string documents = {};  // empty: nobody wants them
  std::optional<std::string> delta = {};
  document::ClientToken client_token = {};

  std::size_t bytes() const;
};

// The shadows of the things that one worker owns. A request is applied to the document in memory at once, so that those of one turn share one commit;
// its answer, and every answer that builds on it, leaves when that commit is durable, in the order of the requests. If a commit fails, what was built on it is
// refused and the shadow is read again from the store. Every member only on that worker, and outside of any publish.
class Owner {
 public:
  Owner(const ServiceOptions& options, broker::Broker& broker, WorkerId worker);
  // When the worker has stopped.
  ~Owner();
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;

  void serve(std::vector<Request> requests);
  // Reads everything anew from the store.
  void forget_all();

 private:
  friend class TurnCommit;

  using Rows = Result<std::vector<std::optional<store::Row>>>;

  broker::WorkerBroker& worker();
  std::int64_t now_s() const;
  std::uint64_t tombstone_version(const Shadow& shadow) const;

  void serve_one(Request request);
  bool is_overloaded(const Shadow* shadow, Operation operation) const;
  void refuse(Request request, Error error);
  void wait(Shadow& shadow, Request request);
  void apply(Shadow& shadow, Request request);
  void get(Shadow& shadow, Answer answer);
  void update(Shadow& shadow, Answer answer);
  void erase(Shadow& shadow, Answer answer);
  // Which bodies of an update go to anybody.
  document::Wanted wanted_of(const Request& request);
  // The answer waits for the commit of this turn, with which the change goes to the store.
  void changed(Shadow& shadow, Answer answer);
  // The answer waits for the changes that it has seen.
  void unchanged(Shadow& shadow, Answer answer);
  void answer_with_commit(Shadow& shadow, Answer answer);
  TurnCommit& commit_of_turn();
  // What the requests just served have left to do.
  void finish_turn();
  void write_dirty();
  void committed(TurnCommit& commit, bool ok);
  // No answer is waited for any more.
  void settled(Shadow& shadow);

  void load(Shadow& shadow);
  void start_loads();
  void loaded(const std::vector<Shadow*>& shadows, Rows rows);
  Status fill(
      Shadow& shadow,
      const std::optional<store::Row>& document,
      const std::optional<store::Row>& tombstone
  );
  void serve_waiting(Shadow& shadow, const Status& status);

  void send(Answer answer);
  bool has_receivers(const Request& request, std::string_view suffix);
  void publish(
      const Request& request,
      std::string_view suffix,
      std::string_view body,
      broker::AckSource* acks
  );

  const ServiceOptions& options_;
  broker::Broker& broker_;
  WorkerId worker_;
  ShadowCache cache_;
  OwnerMetrics metrics_;
  std::size_t waiting_bytes_ = 0;
  std::vector<Shadow*> to_load_;
  std::vector<Shadow*> dirty_;
  std::vector<TurnCommit*> commits_;      // under way, oldest first
  std::uint64_t last_commit_number_ = 0;  // of the last of them; see WorkerBroker::commit_number
  std::string topic_;                     // scratch
};

}  // namespace iotcore::shadow
