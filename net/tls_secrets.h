#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

namespace iotcore::net {

// A traffic secret of TLS 1.3 (RFC 8446 7.1); as long as the suite's hash.
struct TrafficSecret {
  static constexpr std::size_t kBytesMax = 48;

  TrafficSecret() = default;
  TrafficSecret(const TrafficSecret&) = default;
  TrafficSecret& operator=(const TrafficSecret&) = default;
  // Leaves nothing behind in memory.
  ~TrafficSecret();

  std::array<std::uint8_t, kBytesMax> bytes = {};
  std::uint8_t size = 0;
};

// What a finished handshake leaves to the record layer.
struct HandshakeSecrets {
  TrafficSecret client;
  TrafficSecret server;
  std::uint64_t tickets_sent =
      0;  // each in a record of its own, the first ones under the server's key
};

// Has the context's handshakes note their secrets.
void note_secrets(SSL_CTX* context);

// Of that handshake; null if it was not one of TLS 1.3, or has not come that far.
const HandshakeSecrets* secrets_of(const SSL* ssl);

}  // namespace iotcore::net
