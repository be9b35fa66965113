#pragma once

#include "base/clock.h"
#include "base/function.h"
#include "base/ids.h"
#include "base/result.h"
#include "broker/link.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotcore::broker {

enum class Action : std::uint8_t { kConnect, kPublish, kRetainPublish, kSubscribe, kReceive };

// When a connection has to end though nothing is wrong with it, and what is then said to be the reason (mqtt.md 10).
struct SessionEnd {
  MonotonicTime at = {};
  CloseReason reason = CloseReason::kCustomAuthTtl;
};

// What an authenticator found out about a peer, for the authorizer of the same peer: each knows the other, nobody else looks inside.
class AuthenticatedPeer {
 public:
  virtual ~AuthenticatedPeer() = default;
};

// Everything else by which a peer can be known, for who decides on it. Filled by the gateway; gone once CONNECT is answered.
struct PeerEvidence {
  std::string alpn_protocol;  // agreed in the TLS handshake, or empty
  // Of the request that became a WebSocket: what is behind the '?', raw, and all header fields.
  std::string query;
  std::vector<std::pair<std::string, std::string>> headers;
  // Set by HttpHandler::authorize_websocket.
  std::shared_ptr<const AuthenticatedPeer> authenticated;  // second owner: who authenticated it
  std::optional<SessionEnd> session_end;                   // the connection is closed then
};

// How the peer showed who it is, before MQTT: filled by the gateway, and by who authenticates a WebSocket's upgrade or an HTTP request.
//
// There are two places to authenticate by something else than the certificate, both asynchronous:
//  - HttpHandler::handle and authorize_websocket, with the whole HTTP request and this. The latter answers with who the peer is, which then comes to
//    Authorizer::connect; it may also leave the peer kAnonymous, for CONNECT to tell.
//  - Authorizer::connect, with user name and password as they stand in CONNECT (MQTT/TLS under the ALPN name `mqtt`, and WebSocket).
struct PeerIdentity {
  enum class Kind : std::uint8_t { kAnonymous, kCertificate, kAccessKey, kCustomAuthorizer };
  Kind kind = Kind::kAnonymous;
  std::string
      principal;  // certificate id (64 hex digits), access key id, or what an authorizer said
  std::string certificate_der;  // kCertificate, kept until CONNECT is answered
  std::string server_name;      // SNI, or empty
  std::string source_ip;
  std::uint16_t source_port = 0;
  bool development =
      false;  // came by a development listener: an anonymous client may do everything
  std::shared_ptr<const PeerEvidence> evidence;  // may be null. Copies of this share it
};

struct ConnectRequest {
  const PeerIdentity& peer;
  WorkerId worker = {};  // that asks, and is answered
  std::string_view client_id = {};
  std::string_view user_name = {};
  std::string_view password = {};   // never logged
  bool persistent_connect = false;  // v3 cleanSession 0, v5 session expiry above 0
  bool has_will = false;
  bool over_websocket = false;
};

// What one connection may do. Lives and dies on the connection's worker. Each answer is current: an implementation follows changes of
// policies by itself, within a second.
class Permissions {
 public:
  virtual ~Permissions() = default;
  // `resource` is the topic, the topic filter as sent (with $share/…) or the client id; `hash` is stable_hash(resource).
  virtual bool allows(Action action, std::string_view resource, std::uint64_t hash) = 0;
  // The associated thing (auth.md, thing association), or empty.
  virtual std::string_view thing_name() const = 0;

  // What an authorizer found by user name and password; it takes the place of PeerIdentity::principal. Empty: nothing new.
  virtual std::string_view principal() const { return {}; }

  // User properties that go with every message of the connection, encoded as in a property block; as of the last answer of allows(). May be empty.
  virtual std::string_view message_properties() const { return {}; }

  // Asked once, when CONNECT is accepted: until when the connection may last.
  virtual std::optional<SessionEnd> session_end() const { return std::nullopt; }
};

// Decides who may connect. Called on any worker.
class Authorizer {
 public:
  using Answer = Function<void(Result<std::unique_ptr<Permissions>>)>;

  virtual ~Authorizer() = default;
  // Authenticates the peer and decides on Connect. `answer` is called once, before this returns or later on the same worker; a null
  // Permissions may do everything. Errors: kNotAuthorized (known, but not allowed), kBadUserNameOrPassword, kServerUnavailable.
  // The views of `request` are valid only until this returns.
  virtual void connect(const ConnectRequest& request, Answer answer) = 0;
};

}  // namespace iotcore::broker
