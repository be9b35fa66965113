#pragma once

typedef struct ossl_lib_ctx_st OSSL_LIB_CTX;

namespace iotcore::net {

// OpenSSL's library context for the server side of TLS: the default provider, cut down to what TLS needs, and without decoders.
//
// Why: parsing a certificate makes OpenSSL 3.0 walk over every algorithm of its library context, to gather decoders for the key in it. In the default
// context that is two fifths of a whole mutual handshake, and more than all of its arithmetic. Here there is little to walk over, and the key stays
// undecoded; net/peer_certificate.h makes it from its bytes. Measured (instructions of the server, handshake with P-256): 8.9 M before, 4.5 M with this
// and without the second decoding when the certificate is dropped.
//
// Null, which is the default context, if the provider cannot be wrapped; everything works there as well. Any thread.
OSSL_LIB_CTX* tls_library();

}  // namespace iotcore::net
