#include "tests/bench/link.h"

#include <fmt/format.h>
#include <openssl/err.h>

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace iotcore::bench {
namespace {

std::string tls_problem(std::string_view doing) {
  char text[256] = "connection closed";
  if (const auto code = ERR_get_error(); code != 0) {
    ERR_error_string_n(code, text, sizeof(text));
  }
  ERR_clear_error();
  return fmt::format("{}: {}", doing, text);
}

}  // namespace

TlsClient::TlsClient(const Options& options)
    : context_(SSL_CTX_new(TLS_client_method())), server_name_(options.server_name) {
  SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION);
  SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(
      context_,
      SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS
  );
  SSL_CTX_set_session_cache_mode(
      context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE
  );
  SSL_CTX_sess_set_new_cb(context_, &TlsClient::on_new_session);
  SSL_CTX_set_app_data(context_, this);
  if (SSL_CTX_load_verify_locations(context_, options.ca.c_str(), nullptr) != 1) {
    fail(tls_problem("cannot read --ca " + options.ca));
  }
  if (!options.cert.empty() &&
      (SSL_CTX_use_certificate_chain_file(context_, options.cert.c_str()) != 1 ||
       SSL_CTX_use_PrivateKey_file(context_, options.key.c_str(), SSL_FILETYPE_PEM) != 1)) {
    fail(tls_problem("cannot use --cert " + options.cert + " with --key " + options.key));
  }
}

TlsClient::~TlsClient() {
  for (auto* session : sessions_) {
    SSL_SESSION_free(session);
  }
  SSL_CTX_free(context_);
}

int TlsClient::on_new_session(SSL* ssl, SSL_SESSION* session) {
  static_cast<TlsClient*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->sessions_.push_back(session);
  return 1;
}

SSL* TlsClient::start(int fd, bool resume) {
  SSL* ssl = SSL_new(context_);
  SSL_set_fd(ssl, fd);
  // What SSL_set_tlsext_host_name does, without its C cast.
  SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, server_name_.data());
  SSL_set_connect_state(ssl);
  if (resume && !sessions_.empty()) {
    SSL_set_session(ssl, sessions_.back());
    SSL_SESSION_free(sessions_.back());
    sessions_.pop_back();
  }
  return ssl;
}

void Link::connect(const Options& options, TlsClient* tls, bool resume, int epoll, void* tag) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) {
    fail(fmt::format("socket: {}", std::strerror(errno)));
  }
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(options.port));
  if (::inet_pton(AF_INET, options.host.c_str(), &address.sin_addr) != 1) {
    fail(fmt::format("--host {} is not an IPv4 address", options.host));
  }
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 &&
      errno != EINPROGRESS) {
    fail(fmt::format("connect to {}:{}: {}", options.host, options.port, std::strerror(errno)));
  }
  if (tls != nullptr) {
    ssl_ = tls->start(fd_, resume);
  }
  websocket_ = options.websocket != 0 ? std::make_unique<FrameStripper>() : nullptr;
  state_ = State::kConnecting;
  epoll_ = epoll;
  tag_ = tag;
  epoll_event event = {.events = EPOLLOUT, .data = {.ptr = tag}};
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd_, &event);
  watched_ = EPOLLOUT;
}

std::string Link::advance() {
  if (state_ == State::kConnecting) {
    int error = 0;
    socklen_t size = sizeof(error);
    ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
      return fmt::format("connect: {}", std::strerror(error));
    }
    state_ = State::kHandshake;
  }
  if (state_ == State::kUpgrade) {
    return advance_upgrade();
  }
  if (ssl_ != nullptr) {
    const int done = SSL_do_handshake(ssl_);
    if (done != 1) {
      const int why = SSL_get_error(ssl_, done);
      if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
        watch(why == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT);
        return {};
      }
      return tls_problem("TLS handshake");
    }
  }
  watch(EPOLLIN);
  if (websocket_ != nullptr) {
    state_ = State::kUpgrade;
    return send_raw(upgrade_request("localhost")) ? "" : "closed before the upgrade";
  }
  state_ = State::kOpen;
  return {};
}

// The server says nothing behind its answer until it has had CONNECT.
std::string Link::advance_upgrade() {
  char answer[1024];
  const auto got = receive_raw(reinterpret_cast<std::uint8_t*>(answer), sizeof(answer));
  if (got == 0) {
    return "closed at the upgrade";
  }
  if (got > 0) {
    partial_.append(answer, static_cast<std::size_t>(got));
  }
  if (!partial_.ends_with("\r\n\r\n")) {
    return {};
  }
  if (!partial_.starts_with("HTTP/1.1 101 ")) {
    return "no upgrade: " + partial_.substr(0, partial_.find('\r'));
  }
  partial_.clear();
  state_ = State::kOpen;
  return {};
}

void Link::move_to(int epoll, void* tag) {
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd_, nullptr);
  epoll_ = epoll;
  tag_ = tag;
  epoll_event event = {.events = watched_, .data = {.ptr = tag}};
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd_, &event);
}

void Link::close() {
  if (ssl_ != nullptr) {
    if (state_ == State::kOpen) {
      SSL_shutdown(ssl_);
    }
    SSL_free(ssl_);
    ssl_ = nullptr;
  }
  if (fd_ >= 0) {
    ::close(fd_);
    fd_ = -1;
  }
  state_ = State::kClosed;
  out_ = {};
  partial_ = {};
}

void Link::watch(std::uint32_t events) {
  if (events == watched_) {
    return;
  }
  watched_ = events;
  epoll_event event = {.events = events, .data = {.ptr = tag_}};
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd_, &event);
}

// Bytes taken, 0 when the socket is full, -1 when it is broken.
std::ptrdiff_t Link::send_some(std::string_view bytes) {
  if (ssl_ == nullptr) {
    const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return sent >= 0 ? sent : errno == EAGAIN || errno == EINTR ? 0 : -1;
  }
  std::size_t sent = 0;
  const int done = SSL_write_ex(ssl_, bytes.data(), bytes.size(), &sent);
  if (done == 1) {
    return static_cast<std::ptrdiff_t>(sent);
  }
  const int why = SSL_get_error(ssl_, done);
  return why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ ? 0 : -1;
}

bool Link::send(std::string_view bytes) {
  if (websocket_ == nullptr) {
    return send_raw(bytes);
  }
  std::string frames;
  frames.reserve(bytes.size() + bytes.size() / 8 + 16);
  append_masked_frames(frames, bytes);
  return send_raw(frames);
}

bool Link::send_raw(std::string_view bytes) {
  while (out_.empty() && !bytes.empty()) {
    const auto sent = send_some(bytes);
    if (sent < 0) {
      return false;
    }
    if (sent == 0) {
      break;
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  if (!bytes.empty()) {
    out_ += bytes;
    watch(EPOLLIN | EPOLLOUT);
  }
  return true;
}

bool Link::flush() {
  const std::string waiting = std::exchange(out_, {});
  if (!send_raw(waiting)) {
    return false;
  }
  if (out_.empty()) {
    watch(EPOLLIN);
  }
  return true;
}

ssize_t Link::receive(std::uint8_t* buffer, std::size_t size) {
  const ssize_t got = receive_raw(buffer, size);
  if (websocket_ == nullptr || got <= 0) {
    return got;
  }
  const std::ptrdiff_t data = websocket_->strip(buffer, static_cast<std::size_t>(got));
  return data == 0 ? -1 : std::max<ssize_t>(data, 0);
}

ssize_t Link::receive_raw(std::uint8_t* buffer, std::size_t size) {
  if (ssl_ == nullptr) {
    const auto got = ::recv(fd_, buffer, size, 0);
    return got >= 0 ? got : errno == EAGAIN || errno == EINTR ? -1 : 0;
  }
  std::size_t have = 0;
  while (have < size) {
    std::size_t got = 0;
    const int done = SSL_read_ex(ssl_, buffer + have, size - have, &got);
    if (done != 1) {
      const int why = SSL_get_error(ssl_, done);
      if (have > 0) {
        break;
      }
      return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? -1 : 0;
    }
    have += got;
  }
  return static_cast<ssize_t>(have);
}

}  // namespace iotcore::bench
