#include "server/http_api.h"

#include "base/log.h"
#include "net/sigv4.h"
#include "registry/custom_authorizers.h"
#include "registry/operators.h"
#include "server/lambda_api.h"
#include "server/page_origin.h"
#include "server/sqs_api.h"

#include <algorithm>
#include <array>
#include <optional>

namespace iotcore::server {
namespace {

// The services that each face takes in a credential scope.
constexpr std::array<std::string_view, 7> kRestServices = {
    "iot", "execute-api", "iotdata", "iotdevicegateway", "iot-jobs-data", "lambda", "sqs"};
constexpr std::array<std::string_view, 2> kWebSocketServices = {"iotdevicegateway", "iotdata"};

constexpr std::string_view kBearer = "Bearer ";
constexpr std::string_view kConfirmDestination = "/confirmdestination/";

bool is_signed(const net::HttpRequest& request) {
  return request.headers.find("authorization") != nullptr ||
         request.target.find("X-Amz-Signature=") != std::string::npos;
}

Error foreign_page() {
  return Error(
      Errc::kForbidden,
      "Pages from elsewhere may not use a development face; open them at localhost."
  );
}

Error foreign_name(std::string_view host) {
  return Error(
      Errc::kForbidden,
      "A development face is not asked for as " + std::string(host) +
          ": use localhost, or list the name in tls.server_names."
  );
}

registry::AuthorizerRequest authorizer_request(
    const net::HttpRequest& request, const broker::PeerIdentity& peer
) {
  registry::AuthorizerRequest asked;
  asked.server_name = peer.server_name;
  asked.source_ip = peer.source_ip;
  if (peer.kind == broker::PeerIdentity::Kind::kCertificate) {
    asked.certificate_id = peer.principal;
    asked.certificate_der = peer.certificate_der;
  }
  asked.protocol = registry::policy::Protocol::kHttps;
  asked.http.emplace();
  for (const auto& [name, value] : request.headers) {
    asked.http->headers.emplace_back(name, value);
  }
  const std::string_view query = net::split_target(request.target).query;
  asked.http->query_string = query.empty() ? "" : "?" + std::string(query);
  return asked;
}

gateway::CallerIdentity signed_caller(registry::Operator who, const broker::PeerIdentity& peer) {
  gateway::CallerIdentity caller;
  caller.peer = peer;
  caller.peer.kind = broker::PeerIdentity::Kind::kAccessKey;
  caller.peer.principal = who.access_key_id;
  caller.signer = std::make_shared<const registry::Operator>(std::move(who));
  return caller;
}

}  // namespace

HttpApi::HttpApi(
    Options options,
    const gateway::Dispatcher& dispatcher,
    SqsApi& sqs,
    const registry::Operators& operators,
    registry::CustomAuthorizers& custom,
    const registry::DomainTable& domains,
    const Clock& clock,
    Executor& pool,
    std::function<Status()> reset
)
    : options_(std::move(options)),
      dispatcher_(dispatcher),
      sqs_(sqs),
      operators_(operators),
      custom_(custom),
      domains_(domains),
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
  IOTCORE_ASSIGN(
      registry::Operators::SigningKey key,
      operators_.find(claim->access_key_id, claim->security_token)
  );
  net::SigV4Rules rules;
  rules.services = services;
  rules.clock_skew = options_.clock_skew;
  if (!options_.any_region) {
    rules.region = options_.region;
  }
  IOTCORE_TRY(net::verify_sigv4(request, *claim, key.secret, clock_.wall(), rules));
  gateway::CallerIdentity caller = signed_caller(std::move(key.who), peer);
  caller.signing_service = claim->scope.service;
  return caller;
}

Result<gateway::CallerIdentity> HttpApi::by_bearer_token(
    std::string_view token, const broker::PeerIdentity& peer
) const {
  IOTCORE_ASSIGN(registry::Operator who, operators_.find_bearer(token));
  return signed_caller(std::move(who), peer);
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
  const std::string* authorization = request.headers.find("authorization");
  if (authorization != nullptr && authorization->starts_with(kBearer)) {
    return by_bearer_token(std::string_view(*authorization).substr(kBearer.size()), peer);
  }
  if (!is_signed(request) && peer.kind == broker::PeerIdentity::Kind::kCertificate) {
    gateway::CallerIdentity caller;
    caller.peer = peer;
    return caller;
  }
  return by_signature(request, peer, kRestServices);
}

Status HttpApi::check_page(
    const net::HttpRequest& request, const broker::PeerIdentity& peer
) const {
  if (!peer.development) {
    return {};
  }
  if (is_of_foreign_page(request.headers)) {
    return fail(foreign_page());
  }
  const std::string host = asked_host(request.headers);
  const bool ours =
      !is_foreign_name(host) || domains_.find(host) != nullptr ||
      std::ranges::any_of(options_.names, [&](const std::string& name) {
        return net::equal_ignoring_case(name, host);
      });
  return ours ? Status() : fail(foreign_name(host));
}

Result<registry::Authentication> HttpApi::admit(
    broker::PeerIdentity& peer, registry::Entrance entrance, bool is_signed
) const {
  using registry::Authentication;
  using Kind = broker::PeerIdentity::Kind;
  IOTCORE_ASSIGN(const Authentication wanted, domains_.admit(peer.server_name, entrance));
  const bool has_certificate = peer.kind == Kind::kCertificate;
  const bool fits =
      wanted == Authentication::kDefault || (wanted == Authentication::kSignature && is_signed) ||
      (wanted == Authentication::kCertificate && has_certificate && !is_signed) ||
      (wanted == Authentication::kCustom && !is_signed) ||
      (wanted == Authentication::kCustomAndCertificate && has_certificate && !is_signed);
  if (!fits) {
    return fail(
        Errc::kNotAuthorized, "what the peer shows is not what its host's configuration asks for"
    );
  }
  if (wanted == Authentication::kCustom) {
    peer.kind = Kind::kAnonymous;
    peer.principal.clear();
    peer.certificate_der.clear();
  }
  return wanted;
}

void HttpApi::handle(
    net::HttpRequest request, const broker::PeerIdentity& from, gateway::HttpReply reply
) {
  broker::PeerIdentity peer = from;
  if (const Status own = check_page(request, peer); !own) {
    refuse(request, peer, own.error(), std::move(reply));
    return;
  }
  const auto wanted = admit(peer, registry::Entrance::kHttps, is_signed(request));
  if (!wanted) {
    refuse(request, peer, Error(Errc::kForbidden, wanted.error().message()), std::move(reply));
    return;
  }
  const std::string_view path = net::split_target(request.target).path;
  if (path == "/_iotcore/reset" && peer.development) {
    if (request.method != "POST") {
      reply(dispatcher_.refuse(
          request, {peer, "", nullptr}, Error(Errc::kMethodNotAllowed, "Reset with POST.")
      ));
      return;
    }
    reset_account(std::move(reply));
    return;
  }
  if (path.starts_with(kConfirmDestination) && request.method == "GET" && !is_signed(request)) {
    // Whoever has the token has got it at the URL that it confirms; nothing else is asked of him.
    gateway::CallerIdentity anybody;
    anybody.peer = peer;
    anybody.peer.kind = broker::PeerIdentity::Kind::kAnonymous;
    anybody.signing_service = "iot";
    dispatcher_.dispatch(std::move(request), std::move(anybody), std::move(reply));
    return;
  }
  if (!is_signed(request) && !peer.development &&
      (peer.kind == broker::PeerIdentity::Kind::kAnonymous ||
       *wanted == registry::Authentication::kCustomAndCertificate)) {
    ask_authorizer(std::move(request), peer, std::move(reply));
    return;
  }
  Result<gateway::CallerIdentity> caller = identify(request, peer);
  if (!caller) {
    refuse(request, peer, caller.error(), std::move(reply));
    return;
  }
  if (functions_ != nullptr && LambdaApi::concerns(path)) {
    functions_->handle(std::move(request), std::move(*caller), std::move(reply));
    return;
  }
  if (SqsApi::concerns(request)) {
    sqs_.handle(std::move(request), std::move(*caller), std::move(reply));
    return;
  }
  dispatcher_.dispatch(std::move(request), std::move(*caller), std::move(reply));
}

void HttpApi::refuse(
    const net::HttpRequest& request,
    const broker::PeerIdentity& peer,
    const Error& why,
    gateway::HttpReply reply
) const {
  log(LogLevel::kInfo, "api.refused", {{"source", peer.source_ip}, {"why", why.message()}});
  gateway::CallerIdentity unknown;
  unknown.peer = peer;
  reply(dispatcher_.refuse(request, unknown, why));
}

void HttpApi::ask_authorizer(
    net::HttpRequest request, const broker::PeerIdentity& peer, gateway::HttpReply reply
) {
  custom_.pool().post([this, request = std::move(request), peer, reply = std::move(reply)](
                      ) mutable {
    const registry::AuthorizerRequest asked = authorizer_request(request, peer);
    if (!custom_.concerns(asked)) {
      refuse(request, peer, net::missing_authentication(), std::move(reply));
      return;
    }
    auto found = custom_.authorize(asked);
    if (!found) {
      refuse(request, peer, Error(Errc::kForbidden, found.error().message()), std::move(reply));
      return;
    }
    gateway::CallerIdentity caller;
    caller.peer = std::move(peer);
    caller.peer.kind = broker::PeerIdentity::Kind::kCustomAuthorizer;
    caller.peer.principal = (*found)->principal;
    auto evidence = std::make_shared<broker::PeerEvidence>();
    evidence->authenticated = *std::move(found);
    caller.peer.evidence = std::move(evidence);
    dispatcher_.dispatch(std::move(request), std::move(caller), std::move(reply));
  });
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
    const net::HttpRequest& request, const broker::PeerIdentity& from, UpgradeAnswer answer
) {
  broker::PeerIdentity peer = from;
  if (const Status own = check_page(request, peer); !own) {
    answer(fail(own.error()));
    return;
  }
  if (const auto wanted = admit(peer, registry::Entrance::kWebSocket, is_signed(request));
      !wanted) {
    answer(fail(Errc::kForbidden, wanted.error().message()));
    return;
  }
  if (peer.development || peer.kind == broker::PeerIdentity::Kind::kCertificate) {
    answer(peer);
    return;
  }
  if (!is_signed(request)) {
    // Whoever a custom authorizer lets in shows it here or in CONNECT, where it is asked with all there is to see.
    custom_.pool().post([this,
                         asked = authorizer_request(request, peer),
                         peer,
                         answer = std::move(answer)]() mutable {
      if (custom_.concerns(asked)) {
        answer(std::move(peer));
      } else {
        answer(fail(Errc::kForbidden, net::missing_authentication().message()));
      }
    });
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
  auto evidence = known.evidence ? std::make_shared<broker::PeerEvidence>(*known.evidence)
                                 : std::make_shared<broker::PeerEvidence>();
  evidence->authenticated = std::make_shared<const registry::OperatorPeer>(*caller->signer);
  // As long as a signed WebSocket may last, and not beyond temporary credentials.
  std::optional<Duration> lasts;
  if (options_.websocket_life.count() != 0) {
    lasts = options_.websocket_life;
  }
  if (caller->signer->expires) {
    const Duration left = *caller->signer->expires - clock_.wall();
    lasts = lasts ? std::min(*lasts, left) : left;
  }
  if (lasts) {
    evidence->session_end = {clock_.now() + *lasts, broker::CloseReason::kWebsocketTtl};
  }
  known.evidence = std::move(evidence);
  answer(std::move(known));
}

net::HttpResponse HttpApi::error_response(const Error& error) {
  return dispatcher_.refuse({}, {}, error);
}

}  // namespace iotcore::server
