#include "net/address_range.h"
#include "net/tls_policy.h"
#include "server/config_key_kinds.h"

#include <algorithm>

namespace iotcore::server {
namespace {

constexpr std::uint32_t kHourMs = 3'600'000;

void add_tls_keys(std::vector<ConfigKey>& k) {
  k.push_back(text_key(
      "tls.policy",
      "Versions and suites of TLS: default, or one of AWS's IoTSecurityPolicy_ names, which also "
      "take old suites.",
      [](Config & c) -> auto& { return c.tls_policy; },
      [](std::string_view t) { return net::find_tls_policy(t) != nullptr; },
      "default or a name such as IoTSecurityPolicy_TLS13_1_2_2022_10"
  ));
  k.push_back(path_key(
      "tls.certificate_file",
      "Server certificate and its chain (PEM), read again when it changes and on SIGHUP; empty: "
      "one "
      "of the own CA.",
      [](Config & c) -> auto& { return c.tls_certificate_file; }
  ));
  k.push_back(path_key(
      "tls.key_file", "Its private key (PEM).", [](Config & c) -> auto& { return c.tls_key_file; }
  ));
  k.push_back(flag_key(
      "tls.refuse_unknown_names",
      "End the handshake of a client that names a host (SNI) which neither the server's "
      "certificate nor a domain configuration has.",
      [](Config & c) -> auto& { return c.tls_refuse_unknown_names; }
  ));
  k.push_back(number_key<std::size_t>(
      "tls.resumable_sessions",
      "TLS sessions kept for clients that come back, per listener; 0: every handshake is a full "
      "one.",
      [](Config & c) -> auto& { return c.tls_resumable_sessions; },
      0,
      10'000'000
  ));
}

void add_proxy_keys(std::vector<ConfigKey>& k) {
  k.push_back(names_key(
      "proxy_protocol.faces",
      "Faces (mqtt, mqtts, http, https, admin) that are reached through a load balancer only, "
      "which "
      "says by the PROXY protocol, version 2, who connects.",
      [](Config & c) -> auto& { return c.proxy_faces; }
  ));
  k.push_back(text_key(
      "proxy_protocol.trusted",
      "Addresses of these load balancers, as 10.0.0.0/8,fd00::/8.",
      [](Config & c) -> auto& { return c.proxy_trusted; },
      [](std::string_view t) { return net::parse_address_ranges(t).has_value(); },
      "a list of addresses and ranges such as 10.0.0.0/8,192.0.2.7"
  ));
}

void add_face_keys(std::vector<ConfigKey>& k, FaceKind face, const std::string& name) {
  const auto at = [face](Config& c) -> gateway::FaceLimits& {
    return c.face_limits[static_cast<std::size_t>(face)];
  };
  const std::string prefix = "limits." + name + ".";
  k.push_back(number_key<std::size_t>(
      prefix + "connections",
      "Connections to this face at one time; 0: as many as limits.connections.",
      [at](Config & c) -> auto& { return at(c).connections_max; },
      0
  ));
  k.push_back(number_key<std::uint32_t>(
      prefix + "accepts_per_s",
      "New connections, and so handshakes, a second; the others wait in the kernel. 0: no limit.",
      [at](Config & c) -> auto& { return at(c).accepts_per_s_max; },
      0,
      1'000'000
  ));
  k.push_back(milliseconds_key(
      prefix + "handshake_timeout_ms",
      "Milliseconds from accept to the end of the TLS handshake.",
      [at](Config & c) -> auto& { return at(c).handshake_timeout; },
      100,
      kHourMs
  ));
  k.push_back(milliseconds_key(
      prefix + "connect_timeout_ms",
      "Milliseconds until the first whole CONNECT or HTTP request head; 0: 30 s.",
      [at](Config & c) -> auto& { return at(c).connect_timeout; },
      0,
      kHourMs
  ));
}

}  // namespace

void append_gateway_keys(std::vector<ConfigKey>& keys) {
  add_tls_keys(keys);
  add_proxy_keys(keys);
  add_face_keys(keys, FaceKind::kMqtt, "mqtt");
  add_face_keys(keys, FaceKind::kMqtts, "mqtts");
  add_face_keys(keys, FaceKind::kHttp, "http");
  add_face_keys(keys, FaceKind::kHttps, "https");
  keys.push_back(number_key<std::uint32_t>(
      "limits.websocket_life_s",
      "Seconds that a connection over a signed WebSocket lasts; AWS: 86400. 0: no limit.",
      [](Config & c) -> auto& { return c.websocket_life_s; },
      0
  ));
}

}  // namespace iotcore::server
