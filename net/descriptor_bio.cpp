#include "net/descriptor_bio.h"

#include "base/check.h"

#include <openssl/bio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <utility>

namespace iotcore::net {
namespace {

thread_local bool t_last_read_drained = false;

struct Descriptor {
  int fd;
  std::string unread = {};
  std::size_t unread_at = 0;
};

Descriptor& descriptor_of(BIO* bio) {
  return *static_cast<Descriptor*>(BIO_get_data(bio));
}

int fd_of(BIO* bio) {
  return descriptor_of(bio).fd;
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

std::size_t read_unread(Descriptor& descriptor, char* buffer, std::size_t size) {
  const std::size_t n = std::min(size, descriptor.unread.size() - descriptor.unread_at);
  std::memcpy(buffer, descriptor.unread.data() + descriptor.unread_at, n);
  descriptor.unread_at += n;
  if (descriptor.unread_at == descriptor.unread.size()) {
    descriptor.unread = std::string();
    descriptor.unread_at = 0;
  }
  return n;
}

int read_bytes(BIO* bio, char* buffer, std::size_t size, std::size_t* got) {
  BIO_clear_retry_flags(bio);
  Descriptor& descriptor = descriptor_of(bio);
  if (!descriptor.unread.empty()) {
    *got = read_unread(descriptor, buffer, size);
    t_last_read_drained = false;
    return 1;
  }
  thread_local std::array<char, 16 * 1024> ahead;
  const bool reads_ahead = size < ahead.size();
  const std::size_t wanted = reads_ahead ? ahead.size() : size;
  const ssize_t n = recv(descriptor.fd, reads_ahead ? ahead.data() : buffer, wanted, 0);
  t_last_read_drained = n >= 0 ? static_cast<std::size_t>(n) < wanted : should_retry();
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
  *got = std::min(static_cast<std::size_t>(n), size);
  if (reads_ahead) {
    std::memcpy(buffer, ahead.data(), *got);
    descriptor.unread.assign(ahead.data() + *got, static_cast<std::size_t>(n) - *got);
    t_last_read_drained = t_last_read_drained && descriptor.unread.empty();
  }
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

int destroy(BIO* bio) {
  delete static_cast<Descriptor*>(BIO_get_data(bio));
  BIO_set_data(bio, nullptr);
  return 1;
}

BIO_METHOD* make_method() {
  BIO_METHOD* method =
      BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "iotcore descriptor");
  IOTCORE_CHECK(
      method != nullptr && BIO_meth_set_write_ex(method, write_bytes) == 1 &&
      BIO_meth_set_read_ex(method, read_bytes) == 1 && BIO_meth_set_ctrl(method, control) == 1 &&
      BIO_meth_set_destroy(method, destroy) == 1
  );
  return method;
}

}  // namespace

BIO* new_descriptor_bio(int fd) {
  static BIO_METHOD* const method = make_method();
  BIO* bio = BIO_new(method);
  IOTCORE_CHECK(bio != nullptr);
  BIO_set_data(bio, std::make_unique<Descriptor>(Descriptor{.fd = fd}).release());
  BIO_set_init(bio, 1);
  return bio;
}

std::string take_unread(BIO* bio) {
  Descriptor& descriptor = descriptor_of(bio);
  descriptor.unread.erase(0, std::exchange(descriptor.unread_at, 0));
  return std::exchange(descriptor.unread, std::string());
}

void give_back_unread(BIO* bio, std::string unread) {
  descriptor_of(bio).unread = std::move(unread);
}

bool last_read_drained() {
  return t_last_read_drained;
}

}  // namespace iotcore::net
