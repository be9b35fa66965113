#include "registry/device_index.h"

#include "registry/live_devices.h"

namespace iotcore::registry {

void DeviceIndex::place(LiveDevice& device, std::uint64_t key) {
  DeviceLink& link = device.*link_;
  if (link.key == key) {
    return;
  }
  if (link.key != 0) {
    Shard& shard = shard_of(link.key);
    const std::lock_guard lock(shard.mutex);
    if (link.next != nullptr) {
      (link.next->*link_).previous = link.previous;
    }
    if (link.previous != nullptr) {
      (link.previous->*link_).next = link.next;
    } else if (link.next != nullptr) {
      shard.first[link.key] = link.next;
    } else {
      shard.first.erase(link.key);
    }
    link = {};
  }
  if (key != 0) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    LiveDevice*& first = shard.first[key];
    link = {key, nullptr, first};
    if (first != nullptr) {
      (first->*link_).previous = &device;
    }
    first = &device;
  }
}

void DeviceIndex::append_list(LiveDevice* first, Devices& out) const {
  for (LiveDevice* device = first; device != nullptr; device = (device->*link_).next) {
    if (auto alive = device->weak_from_this().lock()) {
      out.push_back(std::move(alive));
    }
  }
}

Devices DeviceIndex::find(std::uint64_t key) {
  Devices out;
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  if (const auto found = shard.first.find(key); found != shard.first.end()) {
    append_list(found->second, out);
  }
  return out;
}

Devices DeviceIndex::all() {
  Devices out;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [key, first] : shard.first) {
      append_list(first, out);
    }
  }
  return out;
}

}  // namespace iotcore::registry
