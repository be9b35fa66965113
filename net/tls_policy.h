#pragma once

#include <span>
#include <string_view>

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;

namespace iotcore::net {

// Versions, suites and groups that a server takes (auth.md 2).
struct TlsPolicy {
  std::string_view name;
  int version_min;  // OpenSSL's TLS1_2_VERSION, TLS1_3_VERSION
  int version_max;
  const char*
      suites12;  // of TLS 1.2, in the order of our preference; those of 1.3 are the same everywhere
};

// The first is the default: TLS 1.2 and 1.3 with authenticated encryption and forward secrecy only. The others bear the names that AWS IoT gives to
// its policies, and take what these take; no policy goes below TLS 1.2, not even those that are named after 1.0.
std::span<const TlsPolicy> tls_policies();
// Null: no policy of that name.
const TlsPolicy* find_tls_policy(std::string_view name);

bool apply(const TlsPolicy& policy, SSL_CTX* context);
// For one connection, from the callback of its ClientHello.
bool apply(const TlsPolicy& policy, SSL* connection);

}  // namespace iotcore::net
