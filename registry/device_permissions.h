#pragma once

#include "base/metrics.h"
#include "broker/authorizer.h"
#include "registry/live_devices.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>

namespace iotcore::registry {

// What one device may do on one connection. Lives on the connection's worker. Current answers cost a load and a comparison: the last decisions are
// remembered until the device's rights change.
class DevicePermissions : public broker::Permissions {
 public:
  // `denied`: counts refusals.
  DevicePermissions(std::shared_ptr<LiveDevice> device, Counter& denied);

  bool allows(broker::Action action, std::string_view resource, std::uint64_t hash) override;
  std::string_view thing_name() const override;
  std::string_view message_properties() const override;

 private:
  struct Remembered {
    std::string resource;
    std::uint64_t hash = 0;
    broker::Action action = broker::Action::kConnect;
    bool used = false;
    bool allowed = false;
  };

  static constexpr std::size_t kRemembered = 8;

  bool decide(broker::Action action, std::string_view resource);

  // Second owner: the change that is just being applied to the device.
  std::shared_ptr<LiveDevice> device_;
  std::shared_ptr<const Grants> grants_;
  std::uint64_t revision_;
  std::unique_ptr<std::array<Remembered, kRemembered>> remembered_;  // from the first decision on
  Counter& denied_;
  // A device that is refused all the time says so in the log only so often.
  std::uint32_t log_lines_left_ = 20;
};

// What a custom authorizer gave.
class CustomPermissions final : public DevicePermissions {
 public:
  // The connection ends at `end`.
  CustomPermissions(std::shared_ptr<LiveDevice> device, Counter& denied, MonotonicTime end)
      : DevicePermissions(device, denied), principal_(device->facts().principal()), end_(end) {}

  std::string_view principal() const override { return principal_; }

  std::optional<broker::SessionEnd> session_end() const override {
    return broker::SessionEnd{end_, broker::CloseReason::kCustomAuthTtl};
  }

 private:
  std::string principal_;
  MonotonicTime end_;
};

// For those who may do everything.
std::unique_ptr<broker::Permissions> every_permission();

policy::Action policy_action(broker::Action action);

// One line on a refusal: action, resource, and the statement that decided, if one did.
void log_refusal(
    const DeviceFacts& facts, const Grants* grants, policy::Action action, std::string_view resource
);

}  // namespace iotcore::registry
