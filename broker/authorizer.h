#pragma once

#include "base/function.h"
#include "base/ids.h"
#include "base/result.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace iotcore::broker {

enum class Action : std::uint8_t { kConnect, kPublish, kRetainPublish, kSubscribe, kReceive };

// How the peer showed who it is, before MQTT: filled by the gateway.
struct PeerIdentity {
  enum class Kind : std::uint8_t { kAnonymous, kCertificate, kAccessKey };
  Kind kind = Kind::kAnonymous;
  std::string principal;        // certificate id (64 hex digits) or access key id
  std::string certificate_der;  // kCertificate, kept until CONNECT is answered
  std::string server_name;      // SNI, or empty
  std::string source_ip;
  std::uint16_t source_port = 0;
  bool development =
      false;  // came by a development listener: an anonymous client may do everything
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
