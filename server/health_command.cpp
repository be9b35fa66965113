#include "base/files.h"
#include "base/json.h"
#include "net/http_client.h"
#include "server/api_client.h"
#include "server/commands.h"

#include <cstdio>

namespace iotcore::server {
namespace {

constexpr std::chrono::seconds kTimeout{5};

Result<std::uint16_t> admin_port(const std::filesystem::path& data_dir) {
  IOTCORE_ASSIGN(const std::string text, read_file(data_dir / kServerFile));
  IOTCORE_ASSIGN(const json::value info, parse_json(text));
  const json::value* ports = info.is_object() ? find_member(info.get_object(), "ports") : nullptr;
  const json::value* port =
      ports != nullptr && ports->is_object() ? find_member(ports->get_object(), "admin") : nullptr;
  if (port == nullptr || !port->is_int64()) {
    return fail(Errc::kNotFound, "listen.admin is off");
  }
  return static_cast<std::uint16_t>(port->get_int64());
}

Result<std::string> ask(const std::filesystem::path& data_dir) {
  net::HttpServer server;
  server.host = "localhost";
  IOTCORE_ASSIGN(server.port, admin_port(data_dir));
  net::HttpRequest request;
  request.method = "GET";
  request.target = "/readyz";
  IOTCORE_ASSIGN(const net::HttpResponse answer, net::http_call(server, request, kTimeout));
  if (answer.status != 200) {
    return fail(Errc::kUnavailable, answer.body);
  }
  return answer.body;
}

}  // namespace

bool print_health(const Config& config) {
  const Result<std::string> answer = ask(config.data_dir);
  if (!answer) {
    std::printf("not ready: %s\n", answer.error().message().c_str());
    return false;
  }
  std::fputs(answer->c_str(), stdout);
  return true;
}

}  // namespace iotcore::server
