#pragma once

#include "base/executor.h"
#include "base/metrics.h"
#include "gateway/http_handler.h"

#include <functional>
#include <string>
#include <string_view>

namespace iotcore::server {

// What the admin face answers: /healthz, /readyz, /metrics, /openapi.json, and /query?database=tables&sql=SELECT….
class AdminApi final : public gateway::HttpHandler {
 public:
  // Whether the server is fit to serve; the message of the error says why not. Both are called on any thread.
  using Ready = std::function<Status()>;

  // Answers a query on what rules have written, as JSON.
  using Query = std::function<Result<std::string>(std::string_view database, std::string_view sql)>;

  AdminApi(Metrics& metrics, std::string openapi, Ready ready, Query query, Executor& pool)
      : metrics_(metrics),
        openapi_(std::move(openapi)),
        ready_(std::move(ready)),
        query_(std::move(query)),
        pool_(pool) {}

  void handle(net::HttpRequest request, const broker::PeerIdentity& peer, gateway::HttpReply reply)
      override;
  void authorize_websocket(
      const net::HttpRequest& request, const broker::PeerIdentity& peer, UpgradeAnswer answer
  ) override;
  net::HttpResponse error_response(const Error& error) override;

 private:
  net::HttpResponse answer(std::string_view target) const;
  net::HttpResponse answer_query(std::string_view parameters) const;

  Metrics& metrics_;
  std::string openapi_;
  Ready ready_;
  Query query_;
  Executor& pool_;
};

}  // namespace iotcore::server
