#pragma once

#include "base/executor.h"
#include "base/function.h"
#include "registry/device_index.h"
#include "registry/grants.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry {

class LiveDevices;

// A device that is connected, and what it may do now. Whoever serves it looks at revision() before each decision and asks for grants() anew when
// it has changed: one atomic load on the way of a message.
class LiveDevice : public std::enable_shared_from_this<LiveDevice> {
 public:
  ~LiveDevice();
  LiveDevice(const LiveDevice&) = delete;
  LiveDevice& operator=(const LiveDevice&) = delete;

  const DeviceFacts& facts() const { return facts_; }

  std::uint64_t revision() const { return revision_.load(std::memory_order_acquire); }

  // Null: nothing any more. Second owner: the connection that is just deciding by it.
  std::shared_ptr<const Grants> grants() const;

 private:
  friend class LiveDevices;

  LiveDevice(LiveDevices& all, DeviceFacts facts) : all_(all), facts_(std::move(facts)) {}

  LiveDevices& all_;
  const DeviceFacts facts_;
  std::atomic<std::uint64_t> revision_ = 0;
  // Raised by every change that concerns the device, before it is read.
  std::atomic<std::uint64_t> changes_ = 0;
  mutable std::mutex mutex_;
  std::uint64_t read_at_ = 0;  // changes_ when the grants began to be read
  std::shared_ptr<const Grants> grants_;
  DeviceLink by_certificate_;
  DeviceLink by_thing_;
};

// The devices that are connected, kept up to date: when a certificate, what is attached to it, a policy or a thing changes, the rights of the devices
// that it concerns are read again at once, on the pool and never on a worker. Thread-safe.
class LiveDevices {
 public:
  // `pool` runs what blocks. Before this is destroyed, the pool has come to rest and every LiveDevice is gone.
  LiveDevices(store::Store& store, GrantReader& reader, Executor& pool);
  LiveDevices(const LiveDevices&) = delete;
  LiveDevices& operator=(const LiveDevices&) = delete;

  // Reads the grants; from then on they are current. Blocking. Second owner of a device: the change that is just being applied to it.
  Result<std::shared_ptr<LiveDevice>> open(DeviceFacts facts);

  // What open() would refuse for the certificate's sake, as far as that is in memory: never blocks.
  Status check_certificate(const DeviceFacts& facts) const {
    return reader_.check_certificate(facts);
  }

  // One whose rights come from elsewhere, and change by replace() alone; nothing: it has none any more.
  std::shared_ptr<LiveDevice> adopt(DeviceFacts facts, Grants grants);
  void replace(LiveDevice& device, std::optional<Grants> grants);

  // Reads one's rights again: what its facts refer to has changed.
  void reread(const std::shared_ptr<LiveDevice>& device) { refresh({device}); }

  // The client that is connected as the thing, if one is.
  std::optional<std::string> client_of(std::string_view thing_name);

  // Told the certificate id (an operator's access key id), on the pool, when connected devices have lost all their rights: their connections are to be cut. Set before the first open().
  void on_revoked(Function<void(const std::string&)> revoked) { revoked_ = std::move(revoked); }

 private:
  friend class LiveDevice;

  void on_principal_row(const store::Change& change);
  void on_thing_row(const store::Change& change);
  void on_group_row(const store::Change& change);
  void on_user_row(const store::Change& change);
  void on_role_row(const store::Change& change);
  void refresh(Devices devices);
  void refresh_chunk(const Devices& devices);
  // True: the device has just lost everything.
  bool refresh_one(LiveDevice& device);
  // Takes what a read that began at `read_at` found, unless there is something newer: of two reads the one that ends last is not always the newer.
  // True as above.
  bool publish(LiveDevice& device, std::uint64_t read_at, std::shared_ptr<const Grants> grants);

  GrantReader& reader_;
  Executor& pool_;
  DeviceIndex by_certificate_;
  DeviceIndex by_thing_;
  Function<void(const std::string&)> revoked_;
  std::vector<store::Watch> watches_;
};

}  // namespace iotcore::registry
