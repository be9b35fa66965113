#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

struct sockaddr_storage;

namespace iotcore::net {

// Owns a file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;

  explicit UniqueFd(int fd) : fd_(fd) {}

  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(std::exchange(other.fd_, -1));
    return *this;
  }

  ~UniqueFd() { reset(); }

  int get() const { return fd_; }

  explicit operator bool() const { return fd_ >= 0; }

  int release() { return std::exchange(fd_, -1); }

  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// Where to listen: `host:port`. The host is a name or an address, IPv6 in brackets; empty or `*` is every address of both families.
struct ListenAddress {
  std::string host;
  std::uint16_t port = 0;

  static Result<ListenAddress> parse(std::string_view text);
};

// A non-blocking TCP socket that listens there, sharing its port with others made by this function (SO_REUSEPORT). What it accepts has
// TCP_NODELAY set.
Result<UniqueFd> listen_on(const ListenAddress& address, int backlog);
std::uint16_t local_port(int fd);

struct PeerAddress {
  std::string ip;  // an IPv4 address in an IPv6 socket is shown as IPv4
  std::uint16_t port = 0;
};

PeerAddress peer_address(const sockaddr_storage& address);
// Our end of a connection; empty if the socket does not say.
PeerAddress local_address(int fd);

}  // namespace iotcore::net
