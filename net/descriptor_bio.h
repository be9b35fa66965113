#pragma once

typedef struct bio_st BIO;

namespace iotcore::net {

// OpenSSL's view of a non-blocking socket. Differs from BIO_new_socket in two points: it never raises SIGPIPE, and it remembers whether the
// last read took everything that was there, which saves edge-triggered readers a system call per message.
BIO* new_descriptor_bio(int fd);

// Whether this thread's last read through such a BIO got fewer bytes than it asked for.
bool last_read_drained();

}  // namespace iotcore::net
