#include "server/http_api.h"

#include "base/log.h"
#include "net/sigv4.h"
#include "registry/access_keys.h"

#include <array>

namespace iotcore::server {
namespace {

// The services that each face takes in a credential scope.
constexpr std::array<std::string_view, 5> kRestServices = {
    "iot", "execute-api", "iotdata", "iotdevicegateway", "iot-jobs-data"};
constexpr std::array<std::string_view, 2> kWebSocketServices = {"iotdevicegateway", "iotdata"};

}  // namespace

HttpApi::HttpApi(
    Options options,
    const gateway::Dispatcher& dispatcher,
    const registry::AccessKeys& keys,
    const Clock& clock,
    Executor& pool,
    std::function<Status()> reset
)
    : options_(std::move(options)),
      dispatcher_(dispatcher),
      keys_(keys),
      clock_(clock),
      pool_(pool),
      reset_(std::move(reset)) {}

Result<gateway::CallerIdentity> HttpApi::by_signature(
    const net::HttpRequest& request,
    const broker::PeerIdentity& peer,
    std::span<const std::string_view> services
) const {
  IOTCORE_ASSIGN(const std::optional<net::SigV4Claim> claim, net::parse_sigv4(request));
  if (!claim) {
    return fail(net::missing_authentication());
  }
  const std::optional<registry::AccessKeys::Key> key = keys_.find(claim->access_key_id);
  if (!key) {
    return fail(net::unrecognized_client());
  }
  net::SigV4Rules rules;
  rules.services = services;
  if (!options_.any_region) {
    rules.region = options_.region;
  }
  IOTCORE_TRY(net::verify_sigv4(request, *claim, key->secret, clock_.wall(), rules));
  gateway::CallerIdentity caller;
  caller.peer = peer;
  caller.peer.kind = broker::PeerIdentity::Kind::kAccessKey;
  caller.peer.principal = key->id;
  caller.signing_service = claim->scope.service;
  return caller;
}

Result<gateway::CallerIdentity> HttpApi::identify(
    const net::HttpRequest& request, const broker::PeerIdentity& peer
) const {
  if (peer.development) {
    // Any signature or none is the administrator's here; its scope still tells the planes apart.
    gateway::CallerIdentity caller;
    caller.peer = peer;
    const auto claim = net::parse_sigv4(request);
    if (claim && *claim) {
      caller.signing_service = (*claim)->scope.service;
    }
    return caller;
  }
  const bool is_signed = request.headers.find("authorization") != nullptr ||
                         request.target.find("X-Amz-Signature=") != std::string::npos;
  if (!is_signed && peer.kind == broker::PeerIdentity::Kind::kCertificate) {
    gateway::CallerIdentity caller;
    caller.peer = peer;
    return caller;
  }
  return by_signature(request, peer, kRestServices);
}

void HttpApi::handle(
    net::HttpRequest request, const broker::PeerIdentity& peer, gateway::HttpReply reply
) {
  const std::string_view path = net::split_target(request.target).path;
  if (path == "/_iotcore/reset" && peer.development) {
    if (request.method != "POST") {
      reply(dispatcher_.refuse(
          request, {peer, ""}, Error(Errc::kMethodNotAllowed, "Reset with POST.")
      ));
      return;
    }
    reset_account(std::move(reply));
    return;
  }
  Result<gateway::CallerIdentity> caller = identify(request, peer);
  if (!caller) {
    log(LogLevel::kInfo,
        "api.refused",
        {{"source", peer.source_ip}, {"why", caller.error().message()}});
    gateway::CallerIdentity unknown;
    unknown.peer = peer;
    reply(dispatcher_.refuse(request, unknown, caller.error()));
    return;
  }
  dispatcher_.dispatch(std::move(request), std::move(*caller), std::move(reply));
}

void HttpApi::reset_account(gateway::HttpReply reply) const {
  pool_.post([this, reply = std::move(reply)]() mutable {
    const Status done = reset_();
    net::HttpResponse response;
    response.headers.set("Content-Type", "application/json");
    if (!done) {
      log(LogLevel::kError, "reset.failed", {{"why", done.error().message()}});
      response.status = 500;
      response.body = R"({"message":"The account could not be emptied; see the log."})";
    } else {
      response.body = "{}";
    }
    reply(std::move(response));
  });
}

void HttpApi::authorize_websocket(
    const net::HttpRequest& request, const broker::PeerIdentity& peer, UpgradeAnswer answer
) {
  if (peer.development || peer.kind == broker::PeerIdentity::Kind::kCertificate) {
    answer(peer);
    return;
  }
  Result<gateway::CallerIdentity> caller = by_signature(request, peer, kWebSocketServices);
  if (!caller) {
    log(LogLevel::kInfo,
        "websocket.refused",
        {{"source", peer.source_ip}, {"why", caller.error().message()}});
    answer(fail(Errc::kForbidden, caller.error().message()));
    return;
  }
  broker::PeerIdentity known = std::move(caller->peer);
  if (options_.websocket_life.count() != 0) {
    auto evidence = known.evidence ? std::make_shared<broker::PeerEvidence>(*known.evidence)
                                   : std::make_shared<broker::PeerEvidence>();
    evidence->session_end = {
        clock_.now() + options_.websocket_life, broker::CloseReason::kWebsocketTtl};
    known.evidence = std::move(evidence);
  }
  answer(std::move(known));
}

net::HttpResponse HttpApi::error_response(const Error& error) {
  return dispatcher_.refuse({}, {}, error);
}

}  // namespace iotcore::server
