#include "registry/device_authorizer.h"

#include "base/log.h"
#include "registry/device_permissions.h"

#include <utility>

namespace iotcore::registry {
namespace {

DeviceFacts facts_of(const broker::ConnectRequest& request) {
  DeviceFacts facts;
  facts.certificate_id = request.peer.principal;
  facts.client_id = request.client_id;
  facts.source_ip = request.peer.source_ip;
  facts.server_name = request.peer.server_name;
  facts.protocol = request.over_websocket ? policy::Protocol::kWebSocket : policy::Protocol::kMqtt;
  facts.persistent_connect = request.persistent_connect;
  facts.has_will = request.has_will;
  return facts;
}

}  // namespace

// The reason's name (auth.md section 3), for the log.
std::string_view authentication_code(const Error& error) {
  for (const auto& [name, value] : error.details()) {
    if (name == "code") {
      return value;
    }
  }
  return "INTERNAL_SERVER_ERROR";
}

DeviceAuthorizer::DeviceAuthorizer(LiveDevices& devices, broker::Workers& workers, Metrics& metrics)
    : devices_(devices),
      workers_(workers),
      not_authenticated_(metrics.counter(
          "iotcore_authentication_failures_total", "Connections of unknown or inactive principals"
      )),
      denied_(
          metrics.counter("iotcore_authorization_denied_total", "Actions that no policy allowed")
      ) {}

void DeviceAuthorizer::connect(const broker::ConnectRequest& request, Answer answer) {
  using Kind = broker::PeerIdentity::Kind;
  const broker::PeerIdentity& peer = request.peer;
  if (peer.kind == Kind::kAccessKey || (peer.kind == Kind::kAnonymous && peer.development)) {
    answer(every_permission());
    return;
  }
  if (peer.kind == Kind::kAnonymous) {
    not_authenticated_.add_shared();
    answer(fail(Errc::kNotAuthorized, "a client certificate is needed to connect here"));
    return;
  }
  workers_.blocking().post([this,
                            facts = facts_of(request),
                            worker = request.worker,
                            answer = std::move(answer)]() mutable {
    workers_.executor(worker).post([answer = std::move(answer), admitted = admit(std::move(facts))](
                                   ) mutable { answer(std::move(admitted)); });
  });
}

Result<std::unique_ptr<broker::Permissions>> DeviceAuthorizer::admit(DeviceFacts facts) {
  const std::string client_id = facts.client_id;
  auto device = devices_.open(facts);
  if (!device) {
    const Error& error = device.error();
    not_authenticated_.add_shared();
    log(LogLevel::kInfo,
        "connection.authn_error",
        {{"code", authentication_code(error)},
         {"principal", facts.certificate_id},
         {"client_id", client_id},
         {"source_ip", facts.source_ip},
         {"reason", error.message()}});
    return fail(
        error.code() == Errc::kNotAuthorized ? Errc::kNotAuthorized : Errc::kServerUnavailable,
        error.message()
    );
  }
  const auto grants = (*device)->grants();
  const bool allowed =
      grants != nullptr && grants->policies.decide(policy::Action::kConnect, client_id).allowed();
  if (!allowed) {
    denied_.add_shared();
    log_refusal((*device)->facts(), grants.get(), policy::Action::kConnect, client_id);
    return fail(Errc::kNotAuthorized, "no policy allows iot:Connect as " + client_id);
  }
  return std::unique_ptr<broker::Permissions>(
      std::make_unique<DevicePermissions>(*std::move(device), denied_)
  );
}

}  // namespace iotcore::registry
