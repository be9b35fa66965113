#pragma once

#include "base/clock.h"
#include "base/function.h"
#include "base/ids.h"
#include "base/result.h"
#include "broker/broker.h"
#include "shadow/document/document.h"
#include "shadow/options.h"
#include "shadow/settings_table.h"
#include "shadow/shadow_id.h"
#include "shadow/topics.h"
#include "store/store.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::shadow {

class Owner;
class RequestConsumer;

// The shadows of all things: answers the requests on `$aws/things/{thing}/shadow/…` and those of the API. Each thing's shadows belong to one worker,
// which serves their requests one after the other and without a lock; what an update promises is told when it is durable. Any thread.
class Service {
 public:
  // The broker outlives it; it outlives everything that the workers still have to do.
  Service(ServiceOptions options, broker::Broker& broker);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // From its return on, requests by topic are answered. Once, when the workers' brokers are there and before the first client.
  void start();

  // The body of the answer, as on the topic `…/accepted`. Called once, on any thread; it must not block. kNotFound, kInvalidRequest, kConflict,
  // kTooLarge, kThrottled, kUnavailable and so on. Accepted updates and deletions are published on their topics as well; refusals are not, nor is what is read.
  using Done = Function<void(Result<std::string>)>;
  void get(const ShadowId& id, Done done);
  void update(const ShadowId& id, std::string_view payload, Done done);
  void erase(const ShadowId& id, Done done);

  struct NamedShadows {
    std::vector<ShadowName> names;  // in their order
    bool more = false;
  };

  // Those that come after `after`, at most `limit`. A thing that nobody knows has none. Blocks.
  Result<NamedShadows> list_named(
      const ThingName& thing, const ShadowName& after, std::size_t limit
  ) const;

  // The versions of a shadow that are kept, the newest first, of those before `before` (0: all); at most `limit`. kNotFound: none is. Blocks.
  struct History {
    std::vector<document::Document> versions;
    bool more = false;
  };

  Result<History> history(const ShadowId& id, std::uint64_t before, std::size_t limit) const;

  // The body of a get, of what has been committed. Blocks for as long as the store's cache takes, so that rules may ask on workers.
  Result<std::string> read_committed(const ShadowId& id) const;

  // Forgets versions of deleted shadows whose time is over. Blocks. Done once an hour by itself.
  Status forget_old_tombstones();

  // Forgets every shadow, in memory and in the store: /_iotcore/reset. Blocks the calling thread for the store; `done` is called on the last worker that
  // has forgotten.
  void wipe(Function<void(Status)> done);

  const ServiceOptions& options() const { return options_; }

  const Clock& clock() const { return broker_.clock(); }

 private:
  void schedule_sweep(Duration in);
  void call(const ShadowId& id, Operation operation, std::string_view payload, Done done);

  // What comes after changes of things whose settings depend on their types.
  void thing_changed(const store::Change& change);
  void renew_settings(const std::string& thing);
  // Looks for shadows that are to be watched. Blocks.
  Status find_watched();
  Status find_watched(const std::vector<store::Entry>& rows);

  ServiceOptions options_;
  broker::Broker& broker_;
  SettingsTable settings_;
  std::vector<std::unique_ptr<Owner>> owners_;  // by worker
  std::unique_ptr<RequestConsumer> consumer_;
  std::vector<broker::ConsumerId> subscriptions_;
  store::Watch things_;
};

}  // namespace iotcore::shadow
