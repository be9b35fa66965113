#pragma once

#include "base/crypto.h"

#include <memory>
#include <string>

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_session_st SSL_SESSION;

namespace iotcore::net {

// A client certificate as it was presented; that the peer has its key is proven, nothing else.
struct PeerCertificate {
  Sha256 fingerprint;  // of the DER form: the certificate id
  std::string der;
};

// Shared by the connection, until it is taken, and the cache of TLS sessions.
using SharedPeerCertificate = std::shared_ptr<const PeerCertificate>;

// The context's handshakes take whatever certificate a client shows, if its key is of a kind and size that auth.md 2 allows, and remember it with the
// TLS session; who it is, others decide.
void remember_peer_certificates(SSL_CTX* context);

// What was shown in the handshake that began this session, perhaps connections ago. Null: nothing.
SharedPeerCertificate peer_certificate_of(const SSL_SESSION* session);
// Null: forgets it.
void set_peer_certificate(SSL_SESSION* session, SharedPeerCertificate certificate);

// Empties the parsed certificate that OpenSSL holds on to for all of the connection's life, once the handshake is done. Nothing looks at it again.
void shrink_peer_certificate(SSL* ssl);

}  // namespace iotcore::net
