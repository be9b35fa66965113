#pragma once

#include "base/clock.h"
#include "base/function.h"
#include "base/json.h"
#include "proto/api/account.pb.h"
#include "proto/record/registry.pb.h"
#include "registry/options.h"
#include "registry/rows.h"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry {

// The types of UpdateEventConfigurations.
enum class EventType : std::uint8_t {
  kThing,
  kThingGroup,
  kThingType,
  kThingGroupMembership,
  kThingGroupHierarchy,
  kThingTypeAssociation,
  kJob,
  kJobExecution,
  kPolicy,
  kCertificate,
  kCaCertificate,
  kCount_,
};

std::string_view event_type_name(EventType type);

// A batch together with the events that tell of it: both are committed, or neither.
class Change {
 public:
  store::Batch batch;

 private:
  friend class Events;

  struct Pending {
    std::uint64_t number;
    std::string topic;
    std::string payload;
  };

  std::vector<Pending> events_;
};

// What the registry publishes at `$aws/events/…` of its own changes, type by type when it is switched on. An event is a row of the batch that it tells
// of until it has been published, so that it is published at least once, whatever happens in between. Thread-safe.
class Events {
 public:
  // Publishes at QoS 1; `done` says that the event is as durable as that. Any thread.
  using Publish = Function<void(std::string topic, std::string payload, Function<void()> done)>;

  Events(store::Store& store, const Clock& clock, const Options& options)
      : store_(store), clock_(clock), options_(options) {}

  // Publishes what an earlier run left; until then events wait in the store. Once.
  Status start(Publish publish);

  bool enabled(EventType type) const;
  // The members that events have in common: eventType, eventId, timestamp, operation, accountId.
  json::object begin(EventType type, std::string_view operation) const;
  // `topic` goes on behind "$aws/events/".
  void add(Change& change, std::string_view topic, const json::object& event);
  Status commit(Change change);

  Result<api::DescribeEventConfigurationsResponse> describe(
      const api::DescribeEventConfigurationsRequest& request
  );
  Result<api::UpdateEventConfigurationsResponse> update(
      const api::UpdateEventConfigurationsRequest& request
  );
  // Reads the configuration again: at start, and when the account has been emptied.
  Status load();

 private:
  Status try_update(const api::UpdateEventConfigurationsRequest& request);
  void publish(Change::Pending event);

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  std::atomic<std::uint32_t> enabled_ = 0;  // a bit a type
  std::atomic<std::uint64_t> last_number_ = 0;
  std::atomic<bool> started_ = false;
  Publish publish_;
};

}  // namespace iotcore::registry
