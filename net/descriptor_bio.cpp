#include "net/descriptor_bio.h"

#include "base/check.h"

#include <openssl/bio.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <sys/socket.h>

namespace iotcore::net {
namespace {

thread_local bool t_last_read_drained = false;

int fd_of(BIO* bio) {
  return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
}

bool should_retry() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

int write_bytes(BIO* bio, const char* bytes, std::size_t size, std::size_t* written) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = send(fd_of(bio), bytes, size, MSG_NOSIGNAL);
  if (n < 0) {
    if (should_retry()) {
      BIO_set_retry_write(bio);
    }
    return 0;
  }
  *written = static_cast<std::size_t>(n);
  return 1;
}

int read_bytes(BIO* bio, char* buffer, std::size_t size, std::size_t* got) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = recv(fd_of(bio), buffer, size, 0);
  t_last_read_drained = n >= 0 ? static_cast<std::size_t>(n) < size : should_retry();
  if (n < 0) {
    if (should_retry()) {
      BIO_set_retry_read(bio);
    }
    return 0;
  }
  if (n == 0) {
    BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return 0;
  }
  *got = static_cast<std::size_t>(n);
  return 1;
}

long control(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    default:
      return 0;
  }
}

BIO_METHOD* make_method() {
  BIO_METHOD* method =
      BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "iotcore descriptor");
  IOTCORE_CHECK(
      method != nullptr && BIO_meth_set_write_ex(method, write_bytes) == 1 &&
      BIO_meth_set_read_ex(method, read_bytes) == 1 && BIO_meth_set_ctrl(method, control) == 1
  );
  return method;
}

}  // namespace

BIO* new_descriptor_bio(int fd) {
  static BIO_METHOD* const method = make_method();
  BIO* bio = BIO_new(method);
  IOTCORE_CHECK(bio != nullptr);
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
  BIO_set_init(bio, 1);
  return bio;
}

bool last_read_drained() {
  return t_last_read_drained;
}

}  // namespace iotcore::net
