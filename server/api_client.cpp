#include "server/api_client.h"

#include "base/clock.h"
#include "base/files.h"

namespace iotcore::server {
namespace {

// The value of `key = value` in an AWS shared-credentials file of one profile.
std::string credential(std::string_view file, std::string_view key) {
  const std::size_t at = file.find(key);
  if (at == std::string_view::npos) {
    return {};
  }
  std::string_view line = file.substr(at + key.size());
  line = line.substr(0, line.find('\n'));
  const std::size_t begin = line.find_first_not_of(" =\t");
  const std::size_t end = line.find_last_not_of(" \t\r");
  return begin == std::string_view::npos ? "" : std::string(line.substr(begin, end - begin + 1));
}

std::uint16_t port_of(const json::object& ports, std::string_view face) {
  const json::value* port = find_member(ports, face);
  return port != nullptr && port->is_int64() ? static_cast<std::uint16_t>(port->get_int64())
                                             : std::uint16_t{0};
}

}  // namespace

Result<ApiClient> ApiClient::open(const std::filesystem::path& data_dir) {
  const auto unreachable = [&data_dir](std::string why) {
    return fail(
        Errc::kNotFound,
        "no server runs on " + data_dir.string() + " (" + std::move(why) +
            "); start it with `iotcore serve`, or name its folder with --data-dir"
    );
  };
  const Result<std::string> text = read_file(data_dir / kServerFile);
  if (!text) {
    return unreachable("no " + std::string(kServerFile) + " there");
  }
  const Result<json::value> info = parse_json(*text);
  const json::value* ports =
      info && info->is_object() ? find_member(info->get_object(), "ports") : nullptr;
  if (ports == nullptr || !ports->is_object()) {
    return unreachable(std::string(kServerFile) + " is not readable");
  }
  ApiClient client;
  client.server_.host = "localhost";
  client.server_.tls = true;
  client.server_.port = port_of(ports->get_object(), "https");
  client.mqtts_port_ = port_of(ports->get_object(), "mqtts");
  if (client.server_.port == 0) {
    return unreachable("listen.https is off");
  }
  client.ca_file_ = data_dir / "ca.pem";
  IOTCORE_ASSIGN(client.server_.ca_pem, read_file(client.ca_file_));
  IOTCORE_ASSIGN(const std::string credentials, read_file(data_dir / "credentials"));
  client.credentials_.access_key_id = credential(credentials, "aws_access_key_id");
  client.credentials_.secret = credential(credentials, "aws_secret_access_key");
  if (const json::value* region = find_member(info->get_object(), "region");
      region != nullptr && region->is_string()) {
    client.region_ = std::string(region->get_string());
  }
  return client;
}

Result<json::value> ApiClient::call(
    std::string method, std::string target, const json::object* body, net::HttpHeaders headers
) const {
  return send(
      std::move(method),
      std::move(target),
      body == nullptr ? std::string() : to_json(*body),
      std::move(headers)
  );
}

Result<json::value> ApiClient::send(
    std::string method, std::string target, std::string body, net::HttpHeaders headers
) const {
  net::HttpRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.headers = std::move(headers);
  request.headers.set("Host", net::host_header(server_));
  if (!body.empty()) {
    request.body = std::move(body);
    request.headers.set("Content-Type", "application/json");
  }
  net::sign(request, credentials_, {region_, "iot"}, SystemClock().wall());
  IOTCORE_ASSIGN(const net::HttpResponse response, net::http_call(server_, std::move(request)));
  Result<json::value> parsed =
      response.body.empty() ? json::value(json::object()) : parse_json(response.body);
  if (response.status / 100 == 2) {
    return parsed;
  }
  std::string message = "HTTP status " + std::to_string(response.status);
  if (parsed && parsed->is_object()) {
    const json::value* text = find_member(parsed->get_object(), "message");
    if (text != nullptr && text->is_string()) {
      message = std::string(text->get_string());
    }
  }
  const Errc code = response.status == 409   ? Errc::kAlreadyExists
                    : response.status == 404 ? Errc::kNotFound
                    : response.status == 403 ? Errc::kForbidden
                                             : Errc::kInvalidRequest;
  return fail(code, message);
}

}  // namespace iotcore::server
