#include "net/client_channel.h"

#include "net/free_with.h"
#include "net/pem_passphrase.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace iotcore::net {
namespace {

using Bio = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, FreeWith<X509_free>>;

Bio reader_of(std::string_view pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

Status trust(SSL_CTX* context, const std::string& ca_pem) {
  if (ca_pem.empty()) {
    SSL_CTX_set_default_verify_paths(context);
    return {};
  }
  const Bio bio = reader_of(ca_pem);
  int count = 0;
  for (;; ++count) {
    const Certificate ca(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
    if (ca == nullptr) {
      break;
    }
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca.get());
  }
  ERR_clear_error();
  if (count == 0) {
    return fail(Errc::kCertificateValidation, "the CA certificate is not readable as PEM");
  }
  return {};
}

Status show(SSL_CTX* context, const ClientTls& tls) {
  if (tls.certificate_pem.empty()) {
    return {};
  }
  const Bio chain = reader_of(tls.certificate_pem);
  const Certificate own(PEM_read_bio_X509(chain.get(), nullptr, no_passphrase, nullptr));
  if (own == nullptr || SSL_CTX_use_certificate(context, own.get()) != 1) {
    return fail(Errc::kCertificateValidation, "the client certificate is not readable as PEM");
  }
  while (X509* next = PEM_read_bio_X509(chain.get(), nullptr, no_passphrase, nullptr)) {
    // The function behind SSL_CTX_add0_chain_cert, which casts in the old style; it takes `next` over.
    SSL_CTX_ctrl(context, SSL_CTRL_CHAIN_CERT, 0, next);
  }
  const Bio key_bio = reader_of(tls.private_key_pem);
  const std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>> key(
      PEM_read_bio_PrivateKey(key_bio.get(), nullptr, no_passphrase, nullptr)
  );
  ERR_clear_error();
  if (key == nullptr || SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return fail(
        Errc::kCertificateValidation, "the client's key does not belong to its certificate"
    );
  }
  return {};
}

std::string ip_of(const addrinfo& found) {
  sockaddr_storage address = {};
  std::memcpy(&address, found.ai_addr, std::min<std::size_t>(found.ai_addrlen, sizeof address));
  return peer_address(address).ip;
}

}  // namespace

void ClientChannel::FreeSsl::operator()(SSL* ssl) const {
  SSL_free(ssl);
}

void ClientChannel::FreeSsl::operator()(SSL_CTX* context) const {
  SSL_CTX_free(context);
}

ClientChannel::ClientChannel(UniqueFd fd, std::string host, std::uint16_t port)
    : fd_(std::move(fd)), host_(std::move(host)), port_(port) {}

ClientChannel::ClientChannel(ClientChannel&&) noexcept = default;

ClientChannel& ClientChannel::operator=(ClientChannel&& other) noexcept {
  // TLS before its descriptor.
  tls_ = std::move(other.tls_);
  context_ = std::move(other.context_);
  fd_ = std::move(other.fd_);
  host_ = std::move(other.host_);
  port_ = other.port_;
  deadline_ = other.deadline_;
  return *this;
}

ClientChannel::~ClientChannel() = default;

std::string ClientChannel::address() const {
  return host_ + ":" + std::to_string(port_);
}

Result<ClientChannel> ClientChannel::open(
    const std::string& host,
    std::uint16_t port,
    std::chrono::milliseconds timeout,
    const AddressRule& admits
) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &raw);
  if (failed != 0) {
    return fail(Errc::kUnavailable, host + ": " + ::gai_strerror(failed));
  }
  const std::unique_ptr<addrinfo, FreeWith<::freeaddrinfo>> found(raw);
  Error last(Errc::kUnavailable, host + " has no address");
  for (const addrinfo* each = found.get(); each != nullptr; each = each->ai_next) {
    if (const Status admitted = admits ? admits(ip_of(*each)) : Status(); !admitted) {
      last = admitted.error();
      continue;
    }
    ClientChannel channel(
        UniqueFd(::socket(
            each->ai_family, each->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, each->ai_protocol
        )),
        host,
        port
    );
    channel.set_deadline(timeout);
    const int fd = channel.fd_.get();
    bool connected = ::connect(fd, each->ai_addr, each->ai_addrlen) == 0;
    if (!connected && errno == EINPROGRESS) {
      if (const Status waited = channel.wait(POLLOUT); !waited) {
        last = waited.error();
        continue;
      }
      int error = 0;
      socklen_t size = sizeof error;
      connected = ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
    }
    if (connected) {
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return channel;
    }
    last =
        Error(Errc::kUnavailable, "nothing answers at " + channel.address() + "; is it running?");
  }
  return fail(std::move(last));
}

void ClientChannel::set_deadline(std::chrono::milliseconds timeout) {
  deadline_ = SystemClock().now() + timeout;
}

Status ClientChannel::wait(short events) const {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline_ - SystemClock().now() + std::chrono::microseconds(999)
    );
    pollfd descriptor = {fd_.get(), events, 0};
    const int ready =
        left.count() <= 0
            ? 0
            : ::poll(
                  &descriptor, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 3'600'000))
              );
    if (ready > 0) {
      return {};
    }
    if (ready == 0 && left.count() <= 3'600'000) {
      return fail(Errc::kTimeout, address() + " did not answer in time");
    }
    if (ready < 0 && errno != EINTR) {
      return fail(Errc::kUnavailable, address() + ": " + std::strerror(errno));
    }
  }
}

Status ClientChannel::wait_for_tls(int returned) {
  switch (SSL_get_error(tls_.get(), returned)) {
    case SSL_ERROR_WANT_READ:
      return wait(POLLIN);
    case SSL_ERROR_WANT_WRITE:
      return wait(POLLOUT);
    case SSL_ERROR_SSL:
      // An alert, as when it wants a certificate of ours: in TLS 1.3 that comes after the handshake.
      if (const char* reason = ERR_reason_error_string(ERR_peek_error()); reason != nullptr) {
        return fail(Errc::kUnavailable, address() + " broke off: " + reason);
      }
      [[fallthrough]];
    default:
      return fail(Errc::kUnavailable, address() + " broke off");
  }
}

Status ClientChannel::start_tls(const ClientTls& tls) {
  context_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_verify(context_.get(), tls.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (tls.verify) {
    IOTCORE_TRY(trust(context_.get(), tls.ca_pem));
  }
  IOTCORE_TRY(show(context_.get(), tls));
  tls_.reset(SSL_new(context_.get()));
  SSL_set_fd(tls_.get(), fd_.get());
  X509_VERIFY_PARAM* param = SSL_get0_param(tls_.get());
  if (X509_VERIFY_PARAM_set1_ip_asc(param, host_.c_str()) != 1) {
    // The function behind SSL_set_tlsext_host_name, which casts in the old style.
    SSL_ctrl(tls_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, host_.data());
    SSL_set1_host(tls_.get(), host_.c_str());
  }
  for (;;) {
    ERR_clear_error();
    const int done = SSL_connect(tls_.get());
    if (done == 1) {
      return {};
    }
    if (const Status waited = wait_for_tls(done); !waited) {
      const long verified = SSL_get_verify_result(tls_.get());
      if (tls.verify && verified != X509_V_OK) {
        return fail(
            Errc::kCertificateValidation,
            address() + " does not show the certificate expected: " +
                X509_verify_cert_error_string(verified)
        );
      }
      return waited.error().code() == Errc::kTimeout
                 ? waited
                 : fail(Errc::kUnavailable, address() + " does not speak TLS");
    }
  }
}

Status ClientChannel::write(std::string_view bytes) {
  while (!bytes.empty()) {
    if (tls_ != nullptr) {
      ERR_clear_error();
      std::size_t written = 0;
      const int done = SSL_write_ex(tls_.get(), bytes.data(), bytes.size(), &written);
      if (done != 1) {
        IOTCORE_TRY(wait_for_tls(done));
      }
      bytes.remove_prefix(written);
      continue;
    }
    const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      IOTCORE_TRY(wait(POLLOUT));
    } else if (errno != EINTR) {
      return fail(Errc::kUnavailable, address() + " broke off");
    }
  }
  return {};
}

Result<std::size_t> ClientChannel::read(char* to, std::size_t bytes) {
  for (;;) {
    if (tls_ != nullptr) {
      ERR_clear_error();
      std::size_t got = 0;
      const int done = SSL_read_ex(tls_.get(), to, bytes, &got);
      if (done == 1) {
        return got;
      }
      if (SSL_get_error(tls_.get(), done) == SSL_ERROR_ZERO_RETURN) {
        return std::size_t{0};
      }
      IOTCORE_TRY(wait_for_tls(done));
      continue;
    }
    const ssize_t n = ::recv(fd_.get(), to, bytes, 0);
    if (n >= 0) {
      return static_cast<std::size_t>(n);
    }
    if (errno == EAGAIN) {
      IOTCORE_TRY(wait(POLLIN));
    } else if (errno != EINTR) {
      return fail(Errc::kUnavailable, address() + " broke off");
    }
  }
}

bool ClientChannel::is_stale() const {
  pollfd descriptor = {fd_.get(), POLLIN, 0};
  if (::poll(&descriptor, 1, 0) == 0) {
    return false;
  }
  // TLS has messages of its own, such as session tickets.
  char first = 0;
  std::size_t peeked = 0;
  ERR_clear_error();
  return tls_ == nullptr || SSL_peek_ex(tls_.get(), &first, 1, &peeked) == 1 ||
         SSL_get_error(tls_.get(), 0) != SSL_ERROR_WANT_READ;
}

}  // namespace iotcore::net
