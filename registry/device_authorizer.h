#pragma once

#include "base/metrics.h"
#include "broker/authorizer.h"
#include "broker/workers.h"
#include "registry/auto_registration.h"
#include "registry/custom_authorizers.h"
#include "registry/live_devices.h"

namespace iotcore::registry {

// Decides on MQTT connections and what they may do (auth.md): devices by their certificates and the policies attached to these and to their groups,
// operators who signed by theirs, others by what a custom authorizer says. Anybody on a development listener may do everything. Any worker.
class DeviceAuthorizer final : public broker::Authorizer {
 public:
  // Each may be null: then nobody is registered by connecting, or let in by a custom authorizer, or held to a domain configuration.
  struct Helpers {
    AutoRegistration* registration = nullptr;
    CustomAuthorizers* custom = nullptr;
    const DomainTable* domains = nullptr;
  };

  DeviceAuthorizer(
      LiveDevices& devices,
      Helpers helpers,
      broker::Workers& workers,
      const Clock& clock,
      Metrics& metrics
  );

  void connect(const broker::ConnectRequest& request, Answer answer) override;

 private:
  void connect_device(DeviceFacts facts, std::string der, WorkerId worker, Answer answer);
  void connect_custom(const broker::ConnectRequest& request, bool with_certificate, Answer answer);
  void connect_operator(const broker::ConnectRequest& request, DeviceFacts facts, Answer answer);
  void connect_unknown(const broker::ConnectRequest& request, Answer answer);
  // Blocking, all of them.
  Result<std::unique_ptr<broker::Permissions>> admit_custom(const AuthorizerRequest& request);
  Result<std::unique_ptr<broker::Permissions>> refuse(const DeviceFacts& facts, const Error& why);
  Result<std::unique_ptr<broker::Permissions>> admit(
      DeviceFacts facts, const std::string& certificate_der
  );
  Result<std::shared_ptr<LiveDevice>> open(
      const DeviceFacts& facts, const std::string& certificate_der
  );

  LiveDevices& devices_;
  const Helpers helpers_;
  broker::Workers& workers_;
  const Clock& clock_;
  Counter& not_authenticated_;
  Counter& denied_;
};

}  // namespace iotcore::registry
