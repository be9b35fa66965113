#pragma once

#include "base/ids.h"
#include "base/metrics.h"
#include "broker/broker.h"
#include "shadow/document/operations.h"
#include "shadow/options.h"
#include "shadow/owner_metrics.h"
#include "shadow/request.h"
#include "shadow/settings_table.h"
#include "shadow/shadow_cache.h"
#include "shadow/shadow_id.h"
#include "shadow/watch_list.h"
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
  Owner(
      const ServiceOptions& options,
      const SettingsTable& settings,
      broker::Broker& broker,
      WorkerId worker
  );
  // When the worker has stopped.
  ~Owner();
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;

  void serve(std::vector<Request> requests);
  // Reads everything anew from the store.
  void forget_all();
  // Other settings count for these shadows from now on.
  void set_settings(const std::vector<std::string>& prefixes, const ShadowSettings& settings);

  // What the store has of a shadow that is to be watched.
  struct Watched {
    std::string prefix;
    document::Record record;
    const ShadowSettings* settings;
  };

  // What the store had at the start.
  void watch(const std::vector<Watched>& found);
  // Looks at those whose time has come, every second. Time begins now: nobody could report while the server was down.
  void start_watching();

 private:
  friend class TurnCommit;

  // What one read brings, in the order of the shadows.
  struct Loaded {
    std::vector<std::optional<store::Row>> rows;  // document and tombstone of each
    std::vector<const ShadowSettings*> settings;
    std::vector<bool> history_excess;
  };

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
  document::Wanted wanted_of(Shadow& shadow, const Request& request);
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
  // Blocks, on any thread.
  Result<Loaded> read(const std::vector<ShadowId>& ids) const;
  Result<bool> has_history_excess(
      const ShadowId& id, const store::Row& document, const ShadowSettings& settings
  ) const;
  void loaded(const std::vector<Shadow*>& shadows, Result<Loaded> read);
  Status fill(
      Shadow& shadow,
      const std::optional<store::Row>& document,
      const std::optional<store::Row>& tombstone
  );
  void serve_waiting(Shadow& shadow, const Status& status);

  // Writes the version that has just been made.
  void keep_history(Shadow& shadow);

  // When there will be something to tell.
  std::optional<std::int64_t> stale_at(
      const document::Record& record, const ShadowSettings& settings
  ) const;
  std::optional<std::int64_t> overdue_at(
      const document::Record& record, const ShadowSettings& settings
  ) const;
  std::optional<std::int64_t> next_look(
      const document::Record& record, const ShadowSettings& settings
  ) const;
  void look_every_second();
  void look_at_due();
  // Tells what is to be told of it by now, and plans the next look.
  void look(Shadow& shadow);
  void plan(const Shadow& shadow);
  // After an update: what is over is told, too.
  void tell_recovery(Shadow& shadow, const document::Record& before);
  void tell(Shadow& shadow, std::string_view what, std::optional<std::int64_t> since_s);
  // Nobody hears an event without a topic, but the shadow stays until it has been committed.
  void tell_with_commit(Shadow& shadow, std::string topic, std::string body);
  void mark_dirty(Shadow& shadow);
  void send_events(TurnCommit& commit, bool ok);

  void send(Answer answer);
  bool has_receivers(const Request& request, std::string_view suffix);
  void publish(
      const Request& request,
      std::string_view suffix,
      std::string_view body,
      broker::AckSource* acks
  );

  const ServiceOptions& options_;
  const SettingsTable& settings_;
  broker::Broker& broker_;
  WorkerId worker_;
  ShadowCache cache_;
  WatchList watch_list_;
  std::int64_t watching_since_s_ = 0;
  OwnerMetrics metrics_;
  std::size_t waiting_bytes_ = 0;
  std::vector<Shadow*> to_load_;
  std::vector<Shadow*> dirty_;
  std::vector<TurnCommit*> commits_;      // under way, oldest first
  std::uint64_t last_commit_number_ = 0;  // of the last of them; see TurnBatch::number
  std::string topic_;                     // scratch
};

}  // namespace iotcore::shadow
