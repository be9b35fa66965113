#pragma once

#include "base/result.h"
#include "net/session_cache.h"
#include "net/stream.h"
#include "net/tls_policy.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace iotcore::net {

// When a server asks for a client certificate. It never insists: who may do what without one is decided later.
enum class ClientCertificates : std::uint8_t {
  kAlways,
  kByAlpn,  // not from a client that names a protocol other than x-amzn-mqtt-ca and x-amzn-http-ca
};

// What a server does about a client who names a host (SNI).
struct ServerNameChoice {
  enum class Answers : std::uint8_t {
    kYes,
    kIfOwn,  // if the server's own certificate has the name, or the name is an address
    kNo,     // the handshake ends: a wrong name fails (mqtt.md 1)
  };
  Answers answers = Answers::kYes;
  const TlsPolicy* policy = nullptr;  // other than the context's
};

struct TlsServerConfig {
  std::string certificate_chain_pem;  // the server's own first
  std::string private_key_pem;
  ClientCertificates client_certificates = ClientCertificates::kAlways;
  const TlsPolicy* policy = &tls_policies().front();
  // Kept for clients that come back, some 1 KiB each; 0: none are resumed.
  std::size_t resumable_sessions_max = 20'000;
  // What holds for clients who name this host; any thread. Empty: the same for all.
  std::function<ServerNameChoice(std::string_view server_name)> choose;
};

// The server side's TLS settings. accept() on any thread; reload() on any thread.
//
// Client certificates: the handshake proves that the peer has the key and accepts whatever certificate it shows. AWS finds certificates by
// fingerprint, whoever issued them, so the decision is the registry's (auth.md 2).
class TlsContext {
 public:
  static Result<std::unique_ptr<TlsContext>> make(TlsServerConfig config);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // A stream whose handshake is to be done.
  Stream accept(UniqueFd fd) const;
  // New connections get the new certificate; on an error the old one stays.
  Status reload(std::string certificate_chain_pem, std::string private_key_pem);

  const TlsServerConfig& config() const { return config_; }

 private:
  struct Deleter {
    void operator()(SSL_CTX* context) const;
  };

  using Context = std::unique_ptr<SSL_CTX, Deleter>;

  explicit TlsContext(TlsServerConfig config) : config_(std::move(config)) {}

  Result<Context> build(const std::string& chain_pem, const std::string& key_pem) const;

  TlsServerConfig config_;
  std::unique_ptr<SessionCache> sessions_;  // outlives the contexts
  mutable std::mutex mutex_;
  Context context_;
};

}  // namespace iotcore::net
