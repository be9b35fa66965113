#pragma once

#include "base/metrics.h"
#include "broker/authorizer.h"
#include "registry/live_devices.h"
#include "registry/policy/action.h"

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace iotcore::registry {

// Decides on requests over HTTPS: those of devices by the policies of their certificates, without MQTT's variables; whoever signed with an access key,
// and anybody on a development listener, may do everything. Blocking; any thread of the pool.
class HttpAuthorizer {
 public:
  HttpAuthorizer(LiveDevices& devices, const Clock& clock, Metrics& metrics);

  // `name`: the topic, or "thing" or "thing/shadow": what follows the kind in the action's resource ARN. kForbidden.
  Status allows(const broker::PeerIdentity& peer, policy::Action action, std::string_view name);
  // The same without reading from the store: nothing if that would be needed. For workers.
  std::optional<Status> allows_at_once(
      const broker::PeerIdentity& peer, policy::Action action, std::string_view name
  );
  // Whether the peer is known at all. kForbidden.
  Status authenticate(const broker::PeerIdentity& peer);

 private:
  using Device = std::shared_ptr<LiveDevice>;
  // Devices whose rights stay in memory between two requests.
  static constexpr std::size_t kDevicesMax = 4096;
  // Refusals in the log, of all devices together.
  static constexpr int kLogLinesPerSecond = 100;

  Result<std::shared_ptr<const Grants>> grants_of(const broker::PeerIdentity& peer, Device& device);
  Status decide(
      const Grants& grants, LiveDevice& device, policy::Action action, std::string_view name
  );
  Device find_recent(const std::string& key);
  Result<Device> find(const broker::PeerIdentity& peer);
  bool may_log();

  LiveDevices& devices_;
  const Clock& clock_;
  Counter& denied_;
  std::mutex mutex_;
  std::int64_t log_second_ = 0;
  int log_lines_ = 0;

  struct Cached {
    std::string key;
    Device device;
  };

  std::list<Cached> recent_;  // the last used first
  std::unordered_map<std::string_view, std::list<Cached>::iterator> by_key_;
};

}  // namespace iotcore::registry
