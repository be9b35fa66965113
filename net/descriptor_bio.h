#pragma once

#include <string>

typedef struct bio_st BIO;

namespace iotcore::net {

// OpenSSL's view of a non-blocking socket. Differs from BIO_new_socket in two points: it never raises SIGPIPE, and it remembers whether the
// last read took everything that was there, which saves edge-triggered readers a system call per message. OpenSSL asks for a record's head and for its
// body; what has come behind is kept until it asks for it, so that a flight of the handshake is one system call.
BIO* new_descriptor_bio(int fd);

// Takes what has come and OpenSSL has not asked for.
std::string take_unread(BIO* bio);
void give_back_unread(BIO* bio, std::string unread);

// Whether this thread's last read through such a BIO got fewer bytes than it asked for.
bool last_read_drained();

}  // namespace iotcore::net
