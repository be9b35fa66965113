#pragma once

#include "net/peer_certificate.h"

#include <cstddef>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace iotcore::net {

// TLS sessions for clients that come back. Tickets only name them, so that there is no key whose loss would open recorded connections, and a restart
// forgets them. A session is kept as bytes, some 200, without the client's certificate, which all sessions of a client share: OpenSSL would parse it
// with every resumption. The one used longest ago gives way. Any thread.
class SessionCache {
 public:
  explicit SessionCache(std::size_t sessions_max) : sessions_max_(sessions_max) {}

  SessionCache(const SessionCache&) = delete;
  SessionCache& operator=(const SessionCache&) = delete;

  // The context's sessions are kept here from now on; it must not outlive the cache.
  void attach(SSL_CTX* context);

  std::size_t size() const;
  // Of different clients.
  std::size_t certificates() const;

 private:
  struct Entry {
    std::string id;
    std::string session;                // DER
    SharedPeerCertificate certificate;  // may be null
  };

  struct Shared {
    SharedPeerCertificate certificate;
    std::size_t sessions = 0;
  };

  using Entries = std::list<Entry>;  // the last used first

  static int on_new(SSL* ssl, SSL_SESSION* session);
  static SSL_SESSION* on_get(SSL* ssl, const unsigned char* id, int size, int* copy);
  static void on_remove(SSL_CTX* context, SSL_SESSION* session);

  void put(std::string_view id, std::string session, SharedPeerCertificate certificate);
  // Its id is empty if there is none.
  Entry find(std::string_view id);
  void erase(std::string_view id);
  // With the lock held.
  void drop(Entries::iterator entry);

  const std::size_t sessions_max_;
  mutable std::mutex mutex_;  // and what follows
  Entries entries_;
  std::unordered_map<std::string_view, Entries::iterator> by_id_;  // keys: views of Entry::id
  std::map<Sha256, Shared> by_fingerprint_;
};

// The encoded session without the peer's certificate. As it is, if it is not what OpenSSL writes.
std::string without_peer(std::string_view session_der);

}  // namespace iotcore::net
