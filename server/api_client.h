#pragma once

#include "base/json.h"
#include "base/result.h"
#include "net/http_client.h"
#include "net/sigv4.h"

#include <filesystem>
#include <string>
#include <string_view>

namespace iotcore::server {

// The server's API, for the subcommands: found by its data folder, spoken to over TLS and signed with the administrator's key.
class ApiClient {
 public:
  // kNotFound with advice if no server runs on that folder.
  static Result<ApiClient> open(const std::filesystem::path& data_dir);

  // The answer's body; an error of the API is an error here, with its message. `target` is encoded already.
  Result<json::value> call(
      std::string method,
      std::string target,
      const json::object* body = nullptr,
      net::HttpHeaders headers = {}
  ) const;

  // The same with a body that is JSON already, or empty.
  Result<json::value> send(
      std::string method, std::string target, std::string body, net::HttpHeaders headers = {}
  ) const;

  const std::string& ca_pem() const { return server_.ca_pem; }

  const std::filesystem::path& ca_file() const { return ca_file_; }

  const std::string& region() const { return region_; }

  std::uint16_t mqtts_port() const { return mqtts_port_; }

 private:
  net::HttpServer server_;
  net::SigV4Credentials credentials_;
  std::string region_;
  std::filesystem::path ca_file_;
  std::uint16_t mqtts_port_ = 0;
};

// Where a running server says how it can be reached, in its data folder: the ready file's content.
inline constexpr std::string_view kServerFile = "server.json";

}  // namespace iotcore::server
