#include "registry/device_authorizer.h"

#include "base/log.h"
#include "registry/device_permissions.h"
#include "registry/operators.h"

#include <algorithm>
#include <utility>

namespace iotcore::registry {
namespace {

DeviceFacts facts_of(const broker::ConnectRequest& request) {
  DeviceFacts facts;
  facts.client_id = request.client_id;
  facts.source_ip = request.peer.source_ip;
  facts.server_name = request.peer.server_name;
  facts.protocol = request.over_websocket ? policy::Protocol::kWebSocket : policy::Protocol::kMqtt;
  facts.persistent_connect = request.persistent_connect;
  facts.has_will = request.has_will;
  return facts;
}

Error missing_certificate() {
  return Error(
             Errc::kNotAuthorized,
             "what the peer shows is not what its host's configuration asks for"
  )
      .with("code", "NOT_AUTHENTICATED");
}

bool may_register(const Error& error) {
  const auto& details = error.details();
  return std::any_of(details.begin(), details.end(), [](const auto& detail) {
    return detail.first == kMayRegister;
  });
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

DeviceAuthorizer::DeviceAuthorizer(
    LiveDevices& devices,
    Helpers helpers,
    broker::Workers& workers,
    const Clock& clock,
    Metrics& metrics
)
    : devices_(devices),
      helpers_(helpers),
      workers_(workers),
      clock_(clock),
      not_authenticated_(metrics.counter(
          "iotcore_authentication_failures_total", "Connections of unknown or inactive principals"
      )),
      denied_(
          metrics.counter("iotcore_authorization_denied_total", "Actions that no policy allowed")
      ) {}

void DeviceAuthorizer::connect(const broker::ConnectRequest& request, Answer answer) {
  using Kind = broker::PeerIdentity::Kind;
  const broker::PeerIdentity& peer = request.peer;
  DeviceFacts facts = facts_of(request);
  Authentication wanted = Authentication::kDefault;
  if (helpers_.domains != nullptr && !peer.server_name.empty()) {
    const auto admitted = helpers_.domains->admit(
        peer.server_name, request.over_websocket ? Entrance::kWebSocket : Entrance::kMqtt
    );
    if (!admitted) {
      answer(refuse(facts, admitted.error()));
      return;
    }
    wanted = *admitted;
  }
  const bool any = wanted == Authentication::kDefault;
  if (wanted == Authentication::kCustom || wanted == Authentication::kCustomAndCertificate) {
    const bool both = wanted == Authentication::kCustomAndCertificate;
    if (both && peer.kind != Kind::kCertificate) {
      answer(refuse(facts, missing_certificate()));
    } else {
      connect_custom(request, both, std::move(answer));
    }
  } else if (peer.kind == Kind::kCertificate && (any || wanted == Authentication::kCertificate)) {
    facts.certificate_id = peer.principal;
    connect_device(std::move(facts), peer.certificate_der, request.worker, std::move(answer));
  } else if (peer.kind == Kind::kAccessKey && (any || wanted == Authentication::kSignature)) {
    connect_operator(request, std::move(facts), std::move(answer));
  } else if (any) {
    connect_unknown(request, std::move(answer));
  } else {
    answer(refuse(facts, missing_certificate()));
  }
}

void DeviceAuthorizer::connect_operator(
    const broker::ConnectRequest& request, DeviceFacts facts, Answer answer
) {
  const auto& evidence = request.peer.evidence;
  const auto* const signer = evidence == nullptr
                                 ? nullptr
                                 : dynamic_cast<const OperatorPeer*>(evidence->authenticated.get());
  if (signer == nullptr) {
    answer(fail(Errc::kNotAuthorized, "nobody is known to have signed for this connection"));
  } else if (signer->who.administrator) {
    answer(every_permission());
  } else {
    facts.operator_resource = signer->who.resource;
    facts.access_key_id = signer->who.access_key_id;
    connect_device(std::move(facts), {}, request.worker, std::move(answer));
  }
}

void DeviceAuthorizer::connect_unknown(const broker::ConnectRequest& request, Answer answer) {
  if (request.peer.development && !parse_user_name(request.user_name).authorizer_name) {
    answer(every_permission());
  } else if (helpers_.custom != nullptr) {
    connect_custom(request, false, std::move(answer));
  } else {
    not_authenticated_.add_shared();
    answer(fail(Errc::kNotAuthorized, "a client certificate is needed to connect here"));
  }
}

void DeviceAuthorizer::connect_device(
    DeviceFacts facts, std::string der, WorkerId worker, Answer answer
) {
  // Who is turned away anyhow takes nobody's time on the pool.
  const Status known = devices_.check_certificate(facts);
  if (!known && !may_register(known.error())) {
    answer(refuse(facts, known.error()));
    return;
  }
  workers_.blocking().post(
      [this, facts = std::move(facts), der = std::move(der), worker, answer = std::move(answer)](
      ) mutable {
        workers_.executor(worker).post([answer = std::move(answer),
                                        admitted = admit(std::move(facts), der)]() mutable {
          answer(std::move(admitted));
        });
      }
  );
}

void DeviceAuthorizer::connect_custom(
    const broker::ConnectRequest& request, bool with_certificate, Answer answer
) {
  if (helpers_.custom == nullptr) {
    answer(refuse(facts_of(request), missing_certificate()));
    return;
  }
  AuthorizerRequest asked;
  if (with_certificate) {
    asked.certificate_id = request.peer.principal;
    asked.certificate_der = request.peer.certificate_der;
  }
  asked.server_name = request.peer.server_name;
  asked.source_ip = request.peer.source_ip;
  asked.protocol = request.over_websocket ? policy::Protocol::kWebSocket : policy::Protocol::kMqtt;
  asked.persistent_connect = request.persistent_connect;
  asked.has_will = request.has_will;
  AuthorizerEvent::Mqtt& mqtt = asked.mqtt.emplace();
  mqtt.client_id = request.client_id;
  if (!request.user_name.empty()) {
    mqtt.user_name = request.user_name;
  }
  if (!request.password.empty()) {
    mqtt.password = request.password;
  }
  if (const broker::PeerEvidence* evidence = request.peer.evidence.get();
      evidence != nullptr && request.over_websocket) {
    asked.http.emplace();
    asked.http->headers = evidence->headers;
    asked.http->query_string = evidence->query.empty() ? "" : "?" + evidence->query;
  }
  helpers_.custom->pool().post([this,
                                asked = std::move(asked),
                                worker = request.worker,
                                answer = std::move(answer)]() mutable {
    workers_.executor(worker).post([answer = std::move(answer), admitted = admit_custom(asked)](
                                   ) mutable { answer(std::move(admitted)); });
  });
}

Result<std::unique_ptr<broker::Permissions>> DeviceAuthorizer::refuse(
    const DeviceFacts& facts, const Error& why
) {
  not_authenticated_.add_shared();
  log(LogLevel::kInfo,
      "connection.authn_error",
      {{"code", authentication_code(why)},
       {"principal", facts.principal()},
       {"client_id", facts.client_id},
       {"source_ip", facts.source_ip},
       {"reason", why.message()}});
  return fail(
      why.code() == Errc::kNotAuthorized ? Errc::kNotAuthorized : Errc::kServerUnavailable,
      why.message()
  );
}

Result<std::unique_ptr<broker::Permissions>> DeviceAuthorizer::admit_custom(
    const AuthorizerRequest& request
) {
  const auto peer = helpers_.custom->authorize(request);
  if (!peer) {
    DeviceFacts facts;
    facts.client_id = request.mqtt->client_id.value_or("");
    facts.source_ip = request.source_ip;
    return refuse(facts, peer.error());
  }
  const std::shared_ptr<LiveDevice>& device = (*peer)->device;
  const std::string& client_id = device->facts().client_id;
  const auto grants = device->grants();
  if (grants == nullptr ||
      !grants->policies.decide(policy::Action::kConnect, client_id).allowed()) {
    denied_.add_shared();
    log_refusal(device->facts(), grants.get(), policy::Action::kConnect, client_id);
    return fail(Errc::kNotAuthorized, "no policy allows iot:Connect as " + client_id);
  }
  return std::unique_ptr<broker::Permissions>(
      std::make_unique<CustomPermissions>(device, denied_, clock_.now() + (*peer)->disconnect_after)
  );
}

Result<std::shared_ptr<LiveDevice>> DeviceAuthorizer::open(
    const DeviceFacts& facts, const std::string& certificate_der
) {
  auto device = devices_.open(facts);
  if (device || helpers_.registration == nullptr || certificate_der.empty()) {
    return device;
  }
  if (may_register(device.error()) && helpers_.registration->on_connect(certificate_der, facts)) {
    return devices_.open(facts);
  }
  return device;
}

Result<std::unique_ptr<broker::Permissions>> DeviceAuthorizer::admit(
    DeviceFacts facts, const std::string& certificate_der
) {
  const std::string client_id = facts.client_id;
  auto device = open(facts, certificate_der);
  if (!device) {
    return refuse(facts, device.error());
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
