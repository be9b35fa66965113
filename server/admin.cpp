#include "server/admin.h"

#include "base/errc.h"
#include "base/json.h"

namespace iotcore::server {
namespace {

net::HttpResponse text_response(std::uint16_t status, std::string type, std::string body) {
  net::HttpResponse response;
  response.status = status;
  response.headers.set("Content-Type", std::move(type));
  response.body = std::move(body);
  return response;
}

}  // namespace

void AdminApi::handle(
    net::HttpRequest request, const broker::PeerIdentity& /*peer*/, gateway::HttpReply reply
) {
  if (request.method != "GET" && request.method != "HEAD") {
    reply(error_response(Error(Errc::kMethodNotAllowed, "Only GET is answered here.")));
    return;
  }
  // Metrics and readiness look at locks and at the store: not on a worker.
  pool_.post([this, target = std::move(request.target), reply = std::move(reply)]() mutable {
    reply(answer(target));
  });
}

net::HttpResponse AdminApi::answer_query(std::string_view parameters) const {
  const auto parsed = net::parse_query(parameters);
  std::string database;
  std::string sql;
  for (const net::QueryParameter& each : parsed.value_or(std::vector<net::QueryParameter>())) {
    (each.name == "database" ? database : sql) = each.value;
  }
  const Result<std::string> found = query_(database, sql);
  if (found) {
    return text_response(200, "application/json", *found);
  }
  std::string body = "{\"message\":";
  append_json_string(body, found.error().message());
  return text_response(
      errc_info(found.error().code()).http_status, "application/json", body + "}\n"
  );
}

net::HttpResponse AdminApi::answer(std::string_view target) const {
  const std::string_view path = net::split_target(target).path;
  if (path == "/query") {
    return answer_query(net::split_target(target).query);
  }
  if (path == "/healthz") {
    return text_response(200, "text/plain", "ok\n");
  }
  if (path == "/readyz") {
    const Status ready = ready_();
    return ready ? text_response(200, "text/plain", "ready\n")
                 : text_response(503, "text/plain", ready.error().message() + "\n");
  }
  if (path == "/metrics") {
    return text_response(200, "text/plain; version=0.0.4; charset=utf-8", metrics_.to_text());
  }
  if (path == "/openapi.json") {
    return text_response(200, "application/json", openapi_);
  }
  return text_response(
      404,
      "text/plain",
      "not here; there are /healthz, /readyz, /metrics, /openapi.json and /query\n"
  );
}

void AdminApi::authorize_websocket(
    const net::HttpRequest& /*request*/, const broker::PeerIdentity& /*peer*/, UpgradeAnswer answer
) {
  answer(fail(Errc::kNotFound, "there is no WebSocket here"));
}

net::HttpResponse AdminApi::error_response(const Error& error) {
  std::string body = "{\"message\":";
  append_json_string(body, error.message());
  body += "}";
  return text_response(errc_info(error.code()).http_status, "application/json", std::move(body));
}

}  // namespace iotcore::server
