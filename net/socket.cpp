#include "net/socket.h"

#include "net/free_with.h"

#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace iotcore::net {
namespace {

bool set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// sockaddr is meant to be looked at through its family's own type; memcpy keeps that legal.
template <typename Address>
Address as(const sockaddr_storage& address) {
  Address out;
  std::memcpy(&out, &address, sizeof out);
  return out;
}

UniqueFd try_listen(const addrinfo& candidate, bool both_families, int backlog) {
  UniqueFd fd(socket(candidate.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // An accepted socket inherits TCP_NODELAY on Linux: one call fewer per connection.
  if (!fd || !set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1) ||
      !set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1) ||
      !set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1)) {
    return {};
  }
  if (candidate.ai_family == AF_INET6 &&
      !set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, both_families ? 0 : 1)) {
    return {};
  }
  if (bind(fd.get(), candidate.ai_addr, candidate.ai_addrlen) != 0 ||
      listen(fd.get(), backlog) != 0) {
    return {};
  }
  return fd;
}

}  // namespace

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) {
    ::close(fd_);
  }
  fd_ = fd;
}

Result<ListenAddress> ListenAddress::parse(std::string_view text) {
  const auto invalid = [&] {
    return fail(
        Errc::kInvalidRequest,
        "'" + std::string(text) +
            "' is no address to listen on: write host:port, [ipv6]:port or off"
    );
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return invalid();
  }
  ListenAddress out;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (error != std::errc() || end != port.data() + port.size()) {
    return invalid();
  }
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return invalid();
  }
  out.host = host == "*" ? std::string_view() : host;
  return out;
}

Result<UniqueFd> listen_on(const ListenAddress& address, int backlog) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  const bool both_families = address.host.empty();
  hints.ai_family = both_families ? AF_INET6 : AF_UNSPEC;
  const std::string port = std::to_string(address.port);
  const std::string shown = address.host + ":" + port;
  addrinfo* found = nullptr;
  const int failed =
      getaddrinfo(both_families ? "::" : address.host.c_str(), port.c_str(), &hints, &found);
  const std::unique_ptr<addrinfo, FreeWith<::freeaddrinfo>> list(failed == 0 ? found : nullptr);
  if (failed != 0) {
    return fail(
        Errc::kInvalidRequest, "can't listen on " + shown + ": " + std::string(gai_strerror(failed))
    );
  }
  int last_error = 0;
  for (const addrinfo* candidate = list.get(); candidate != nullptr;
       candidate = candidate->ai_next) {
    if (UniqueFd fd = try_listen(*candidate, both_families, backlog)) {
      return fd;
    }
    last_error = errno;
  }
  if (both_families) {  // a machine without IPv6
    return listen_on({"0.0.0.0", address.port}, backlog);
  }
  return fail(
      Errc::kUnavailable, "can't listen on " + shown + ": " + std::string(std::strerror(last_error))
  );
}

std::uint16_t local_port(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return 0;
  }
  return ntohs(
      address.ss_family == AF_INET6 ? as<sockaddr_in6>(address).sin6_port
                                    : as<sockaddr_in>(address).sin_port
  );
}

PeerAddress local_address(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  return getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0 ? peer_address(address)
                                                                            : PeerAddress();
}

PeerAddress peer_address(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_INET) {
    const auto v4 = as<sockaddr_in>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return {text, ntohs(v4.sin_port)};
  }
  if (address.ss_family == AF_INET6) {
    const auto v6 = as<sockaddr_in6>(address);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof text);
    } else {
      inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    }
    return {text, ntohs(v6.sin6_port)};
  }
  return {};
}

}  // namespace iotcore::net
