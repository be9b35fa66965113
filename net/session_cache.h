#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;
typedef struct ssl_session_st SSL_SESSION;

namespace iotcore::net {

// TLS sessions for clients that come back, as bytes: some 1 KiB each, where OpenSSL's own cache keeps parsed certificates and takes six times that.
// The one used longest ago gives way. Any thread.
class SessionCache {
 public:
  explicit SessionCache(std::size_t sessions_max) : sessions_max_(sessions_max) {}

  SessionCache(const SessionCache&) = delete;
  SessionCache& operator=(const SessionCache&) = delete;

  // The context's sessions are kept here from now on; it must not outlive the cache.
  void attach(SSL_CTX* context);

  std::size_t size() const;

 private:
  struct Entry {
    std::string id;
    std::string session;  // DER
  };

  using Entries = std::list<Entry>;  // the last used first

  static int on_new(SSL* ssl, SSL_SESSION* session);
  static SSL_SESSION* on_get(SSL* ssl, const unsigned char* id, int size, int* copy);
  static void on_remove(SSL_CTX* context, SSL_SESSION* session);

  void put(std::string_view id, std::string session);
  std::string find(std::string_view id);
  void erase(std::string_view id);

  const std::size_t sessions_max_;
  mutable std::mutex mutex_;  // and what follows
  Entries entries_;
  std::unordered_map<std::string_view, Entries::iterator> by_id_;  // keys: views of Entry::id
};

}  // namespace iotcore::net
