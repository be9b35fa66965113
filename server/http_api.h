#pragma once

#include "base/clock.h"
#include "gateway/http_handler.h"
#include "gateway/operations.h"
#include "registry/domain_table.h"

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry {
class CustomAuthorizers;
class Operators;
struct AuthorizerRequest;
struct Operator;
}  // namespace iotcore::registry

namespace iotcore::server {

class LambdaApi;
class SqsApi;

// What the http and https faces answer: AWS's API, who is asking being found out first (development listener, SigV4, bearer token, client
// certificate), and /_iotcore/reset on the development face.
class HttpApi final : public gateway::HttpHandler {
 public:
  struct Options {
    std::string region;
    bool any_region = false;                 // --dev: signatures of any region are right
    std::chrono::seconds websocket_life{0};  // of a connection over a signed WebSocket; 0: no limit
    // How far a signature's time may be from ours: also how long a recorded request could be sent again.
    std::chrono::seconds clock_skew = std::chrono::minutes(5);
    // By which a development face may be asked for, besides this machine's and those of domain configurations.
    std::vector<std::string> names = {};
  };

  // All of it outlives this and every reply. `reset` empties the account; called on the pool.
  HttpApi(
      Options options,
      const gateway::Dispatcher& dispatcher,
      SqsApi& sqs,
      const registry::Operators& operators,
      registry::CustomAuthorizers& custom,
      const registry::DomainTable& domains,
      const Clock& clock,
      Executor& pool,
      std::function<Status()> reset
  );

  // Invoke of AWS Lambda is answered by it. Before the first request; it outlives this.
  void serve_functions(LambdaApi& functions) { functions_ = &functions; }

  void handle(net::HttpRequest request, const broker::PeerIdentity& peer, gateway::HttpReply reply)
      override;
  void authorize_websocket(
      const net::HttpRequest& request, const broker::PeerIdentity& peer, UpgradeAnswer answer
  ) override;
  net::HttpResponse error_response(const Error& error) override;

 private:
  // Who asks: by signature, by certificate, or because it is the development face.
  Result<gateway::CallerIdentity> identify(
      const net::HttpRequest& request, const broker::PeerIdentity& peer
  ) const;
  Result<gateway::CallerIdentity> by_bearer_token(
      std::string_view token, const broker::PeerIdentity& peer
  ) const;
  Result<gateway::CallerIdentity> by_signature(
      const net::HttpRequest& request,
      const broker::PeerIdentity& peer,
      std::span<const std::string_view> services
  ) const;
  // Who has shown neither a signature nor a certificate is for a custom authorizer, if one is named or stands by default.
  void ask_authorizer(
      net::HttpRequest request, const broker::PeerIdentity& peer, gateway::HttpReply reply
  );
  // kForbidden: a page from elsewhere asks at a development face, or one that has come by a name that is not ours.
  Status check_page(const net::HttpRequest& request, const broker::PeerIdentity& peer) const;
  // What the configuration of the peer's host asks for; without what it leaves no room for, as if the peer had not shown it.
  Result<registry::Authentication> admit(
      broker::PeerIdentity& peer, registry::Entrance entrance, bool is_signed
  ) const;
  void refuse(
      const net::HttpRequest& request,
      const broker::PeerIdentity& peer,
      const Error& why,
      gateway::HttpReply reply
  ) const;
  void reset_account(gateway::HttpReply reply) const;

  Options options_;
  const gateway::Dispatcher& dispatcher_;
  SqsApi& sqs_;
  const registry::Operators& operators_;
  registry::CustomAuthorizers& custom_;
  const registry::DomainTable& domains_;
  const Clock& clock_;
  Executor& pool_;
  std::function<Status()> reset_;
  LambdaApi* functions_ = nullptr;
};

}  // namespace iotcore::server
