#include "tests/conformance/socket_world.h"

#include "tests/conformance/failure.h"
#include "tests/conformance/websocket_wire.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace iotcore::conformance {
namespace {

constexpr std::chrono::milliseconds kStuck{20'000};

int dial(const Address& address) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(address.port);
  inet_pton(AF_INET, address.host.c_str(), &to.sin_addr);
  if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    throw Failure(std::string("connecting: ") + std::strerror(errno));
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

bool wait_for(int fd, short events, std::chrono::milliseconds patience) {
  pollfd waiting{fd, events, 0};
  return poll(&waiting, 1, static_cast<int>(patience.count())) > 0;
}

class TcpWire : public Wire {
 public:
  explicit TcpWire(int fd) : fd_(fd) {}

  ~TcpWire() override { close_now(); }

  void send(std::string_view bytes) override {
    while (!bytes.empty() && fd_ >= 0) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) {
        return;  // the server closed; reading tells
      }
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  bool receive(std::string& bytes, std::chrono::milliseconds patience) override {
    if (fd_ < 0) {
      return false;
    }
    if (!wait_for(fd_, POLLIN, patience)) {
      return true;
    }
    std::array<char, 65536> buffer{};
    const ssize_t got = recv(fd_, buffer.data(), buffer.size(), 0);
    if (got <= 0) {
      return false;
    }
    bytes.append(buffer.data(), static_cast<std::size_t>(got));
    return true;
  }

  void drop() override { close_now(); }

 protected:
  void close_now() {
    if (fd_ >= 0) {
      ::close(std::exchange(fd_, -1));
    }
  }

  int fd_;
};

// Blocking TLS over the same.
class TlsWire final : public TcpWire {
 public:
  TlsWire(int fd, SSL_CTX* context) : TcpWire(fd), ssl_(SSL_new(context)) {
    SSL_set_fd(ssl_, fd);
    // The macro for this has a cast that our warnings refuse.
    std::string name = "localhost";
    SSL_ctrl(ssl_, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
    if (SSL_connect(ssl_) != 1) {
      throw Failure("the TLS handshake failed");
    }
  }

  ~TlsWire() override { SSL_free(ssl_); }

  void send(std::string_view bytes) override {
    if (fd_ >= 0 && !bytes.empty()) {
      SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
    }
    ERR_clear_error();
  }

  bool receive(std::string& bytes, std::chrono::milliseconds patience) override {
    if (fd_ < 0) {
      return false;
    }
    if (SSL_pending(ssl_) == 0 && !wait_for(fd_, POLLIN, patience)) {
      return true;
    }
    std::array<char, 65536> buffer{};
    // A record that carries no data, as a session ticket does, must not make it wait.
    const timeval brief{0, 20'000};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief);
    const int got = SSL_read(ssl_, buffer.data(), buffer.size());
    if (got <= 0) {
      const bool again = SSL_get_error(ssl_, got) == SSL_ERROR_WANT_READ;
      ERR_clear_error();
      return again;
    }
    bytes.append(buffer.data(), static_cast<std::size_t>(got));
    return true;
  }

 private:
  SSL* ssl_;
};

}  // namespace

Server::Server(Address address) : address_(std::move(address)) {
  if (address_.certificate.empty()) {
    return;
  }
  tls_ = SSL_CTX_new(TLS_client_method());
  if (SSL_CTX_load_verify_locations(tls_, address_.ca.c_str(), nullptr) != 1 ||
      SSL_CTX_use_certificate_file(tls_, address_.certificate.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_use_PrivateKey_file(tls_, address_.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    throw Failure("the certificate or its key cannot be read");
  }
  SSL_CTX_set_verify(tls_, SSL_VERIFY_PEER, nullptr);
}

Server::~Server() {
  SSL_CTX_free(tls_);
}

std::unique_ptr<Wire> Server::open() {
  const int fd = dial(address_);
  std::unique_ptr<Wire> wire;
  if (tls_ != nullptr) {
    wire = std::make_unique<TlsWire>(fd, tls_);
  } else {
    wire = std::make_unique<TcpWire>(fd);
  }
  return address_.websocket ? upgrade_to_websocket(std::move(wire)) : std::move(wire);
}

void Server::begin_round(std::size_t cases) {
  const std::lock_guard lock(mutex_);
  in_round_ = cases;
  waiting_ = 0;
}

void Server::restart_if_all_wait() {
  if (waiting_ == 0 || waiting_ < in_round_) {
    return;
  }
  std::cout << "restart" << std::endl;
  unsigned port = 0;
  std::cin >> port;
  address_.port = static_cast<unsigned short>(port);
  waiting_ = 0;
  ++restarts_;
  restarted_.notify_all();
}

void Server::restart() {
  std::unique_lock lock(mutex_);
  ++waiting_;
  const unsigned long before = restarts_;
  restart_if_all_wait();
  if (!restarted_.wait_for(lock, 3 * kStuck, [&] { return restarts_ != before; })) {
    throw Failure("the server was not started again");
  }
}

void Server::leave_round() {
  const std::lock_guard lock(mutex_);
  --in_round_;
  restart_if_all_wait();
}

void SocketWorld::wait(std::chrono::milliseconds time) {
  std::this_thread::sleep_for(time);
}

void SocketWorld::catch_up() {
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

void SocketWorld::deny(const std::string& /*action*/, const std::string& /*name*/) {
  throw Failure("deny is for cases in memory");
}

void SocketWorld::set_option(const std::string& /*name*/, std::size_t /*value*/) {
  throw Failure("option is for cases in memory");
}

}  // namespace iotcore::conformance
