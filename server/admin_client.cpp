#include "server/admin_client.h"

#include "base/files.h"
#include "base/json.h"
#include "net/http_client.h"
#include "server/api_client.h"

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

}  // namespace

Result<net::HttpResponse> ask_admin(const std::filesystem::path& data_dir, std::string target) {
  net::HttpServer server;
  server.host = "localhost";
  IOTCORE_ASSIGN(server.port, admin_port(data_dir));
  net::HttpRequest request;
  request.method = "GET";
  request.target = std::move(target);
  return net::http_call(server, request, kTimeout);
}

}  // namespace iotcore::server
