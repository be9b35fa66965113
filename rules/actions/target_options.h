#pragma once

#include "net/client_channel.h"
#include "net/http_client.h"
#include "rules/member_reader.h"
#include "rules/targets.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

// What options of targets of several kinds have in common. Each kind has one function that reads its options: called to check a target, when secrets are
// empty, and when a sink opens it.
namespace iotcore::rules::actions {

// The options of a target, its secrets opened, as `read` makes them.
template <typename Options>
Result<Options> open_target(
    const Target& target, const Targets& targets, Options (*read)(MemberReader& members)
) {
  IOTCORE_ASSIGN(const json::object members, targets.open_secrets(target));
  MemberReader reader(members, "", nullptr);
  reader.ignore("match");
  Options options = read(reader);
  if (const std::optional<DefinitionError> error = reader.finish()) {
    return fail(to_error(*error));
  }
  return options;
}

// For a row of the list of target kinds.
template <auto Read>
void check_with(MemberReader& members) {
  Read(members);
}

// tls, ca, cert, key, verify: certificates and keys as PEM text or the path of a file.
struct TlsOptions {
  bool on = false;
  std::string ca;
  std::string cert;
  std::string key;
  bool verify = true;
};

// `on`: of an address that says so itself ("amqps://").
TlsOptions read_tls(MemberReader& members, bool on = false);
// With the files read.
Result<net::ClientTls> load_tls(const TlsOptions& options);

// A text that a library wants as a file: nameless, in memory, nobody else's to read, gone with this object.
class MemoryFile {
 public:
  MemoryFile() = default;
  // Empty text: no file, and an empty path.
  static Result<MemoryFile> make(std::string_view text);

  const std::string& path() const { return path_; }

 private:
  net::UniqueFd fd_;
  std::string path_;
};

// "scheme://user:password@host:port/path?query", taken apart and decoded; an IPv6 address without its brackets.
struct Address {
  std::string scheme;
  std::string user;
  std::string password;
  std::string host;
  std::uint16_t port = 0;  // 0: none is given
  std::string path;        // not decoded
  std::string query;       // not decoded
};

Result<Address> parse_address(std::string_view text);

// Where a server is: `url`, or `host` and `port`; and as whom: `user` and `password`.
struct ServerOptions {
  Address address;
  TlsOptions tls;
};

struct ServerKind {
  std::string_view scheme;      // "redis"
  std::string_view tls_scheme;  // "rediss"
  std::uint16_t port;
  std::uint16_t tls_port;
};

// `tls`: what holds if neither url nor tls say so.
ServerOptions read_server(MemberReader& members, const ServerKind& kind, bool tls = false);

// An HTTP server: `endpoint`, and TLS.
struct HttpOptions {
  net::HttpServer server;
  std::string path;  // of the endpoint, without a slash at its end
  TlsOptions tls;
  std::chrono::milliseconds timeout{0};
};

HttpOptions read_http(MemberReader& members, std::string_view endpoint = "endpoint");
// The server with its certificates.
Result<net::HttpServer> load_server(const HttpOptions& options);

std::chrono::milliseconds read_timeout(
    MemberReader& members, std::string_view name, std::chrono::milliseconds absent
);

}  // namespace iotcore::rules::actions
