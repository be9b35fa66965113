#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace iotcore::registry {

class LiveDevice;

using Devices = std::vector<std::shared_ptr<LiveDevice>>;

// Where a device stands in an index.
struct DeviceLink {
  std::uint64_t key = 0;  // 0: nowhere
  LiveDevice* previous = nullptr;
  LiveDevice* next = nullptr;
};

// Finds the devices that have something in common, by a hash of it: lists threaded through the devices, so that a device costs two
// pointers here and leaves in constant time, however many share its key. Thread-safe.
class DeviceIndex {
 public:
  explicit DeviceIndex(DeviceLink LiveDevice::*link) : link_(link) {}

  // Moves the device to `key`; 0 takes it out. Calls for one device do not overlap.
  void place(LiveDevice& device, std::uint64_t key);
  // Those that are not just being destroyed. Others with the same hash may be among them.
  Devices find(std::uint64_t key);
  Devices all();

 private:
  struct Shard {
    std::mutex mutex;
    std::unordered_map<std::uint64_t, LiveDevice*> first;
  };

  Shard& shard_of(std::uint64_t key) { return shards_[key % shards_.size()]; }

  void append_list(LiveDevice* first, Devices& out) const;

  DeviceLink LiveDevice::*link_;
  std::array<Shard, 16> shards_;
};

}  // namespace iotcore::registry
