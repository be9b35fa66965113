#pragma once

#include "base/executor.h"
#include "base/metrics.h"
#include "gateway/http_handler.h"

#include <functional>
#include <string>

namespace iotcore::server {

// What the admin face answers: /healthz, /readyz, /metrics, /openapi.json.
class AdminApi final : public gateway::HttpHandler {
 public:
  // Whether the server is fit to serve; the message of the error says why not. Both are called on any thread.
  using Ready = std::function<Status()>;

  AdminApi(Metrics& metrics, std::string openapi, Ready ready, Executor& pool)
      : metrics_(metrics), openapi_(std::move(openapi)), ready_(std::move(ready)), pool_(pool) {}

  void handle(net::HttpRequest request, const broker::PeerIdentity& peer, gateway::HttpReply reply)
      override;
  void authorize_websocket(
      const net::HttpRequest& request, const broker::PeerIdentity& peer, UpgradeAnswer answer
  ) override;
  net::HttpResponse error_response(const Error& error) override;

 private:
  net::HttpResponse answer(std::string_view path) const;

  Metrics& metrics_;
  std::string openapi_;
  Ready ready_;
  Executor& pool_;
};

}  // namespace iotcore::server
