#pragma once

#include "base/metrics.h"
#include "broker/authorizer.h"
#include "broker/workers.h"
#include "registry/live_devices.h"

namespace iotcore::registry {

// Decides on MQTT connections and what they may do (auth.md): devices by their certificates and the policies attached to these; whoever signed with an
// access key, and anybody on a development listener, may do everything. Any worker.
class DeviceAuthorizer final : public broker::Authorizer {
 public:
  DeviceAuthorizer(LiveDevices& devices, broker::Workers& workers, Metrics& metrics);

  void connect(const broker::ConnectRequest& request, Answer answer) override;

 private:
  // Blocking.
  Result<std::unique_ptr<broker::Permissions>> admit(DeviceFacts facts);

  LiveDevices& devices_;
  broker::Workers& workers_;
  Counter& not_authenticated_;
  Counter& denied_;
};

}  // namespace iotcore::registry
