#include "net/http_client.h"

#include "net/http_reply.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <memory>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace iotcore::net {
namespace {

// Of an answer's body.
constexpr std::size_t kReplyBytesMax = 64U << 20;

template <auto Free>
struct FreeWith {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}

  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

  Socket& operator=(Socket&&) = delete;

  ~Socket() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }

  int fd() const { return fd_; }

 private:
  int fd_;
};

std::string address_of(const HttpServer& server) {
  return server.host + ":" + std::to_string(server.port);
}

Result<Socket> connect_to(const HttpServer& server, std::chrono::milliseconds timeout) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  const int failed =
      ::getaddrinfo(server.host.c_str(), std::to_string(server.port).c_str(), &hints, &raw);
  if (failed != 0) {
    return fail(Errc::kUnavailable, server.host + ": " + ::gai_strerror(failed));
  }
  const std::unique_ptr<addrinfo, FreeWith<::freeaddrinfo>> found(raw);
  for (const addrinfo* each = found.get(); each != nullptr; each = each->ai_next) {
    Socket socket(::socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC, each->ai_protocol));
    timeval limit = {};
    limit.tv_sec = timeout.count() / 1000;
    limit.tv_usec = timeout.count() % 1000 * 1000;
    ::setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (::connect(socket.fd(), each->ai_addr, each->ai_addrlen) == 0) {
      return socket;
    }
  }
  return fail(Errc::kUnavailable, "nothing answers at " + address_of(server) + "; is it running?");
}

// Plain or TLS, blocking.
class Channel {
 public:
  static Result<Channel> open(const HttpServer& server, std::chrono::milliseconds timeout) {
    IOTCORE_ASSIGN(Socket socket, connect_to(server, timeout));
    Channel channel(std::move(socket));
    if (server.tls) {
      IOTCORE_TRY(channel.start_tls(server));
    }
    return channel;
  }

  bool write(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = tls_ != nullptr
                         ? SSL_write(tls_.get(), bytes.data(), static_cast<int>(bytes.size()))
                         : ::send(socket_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) {
        return false;
      }
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  // 0 at the end, negative on failure.
  long read(char* to, std::size_t n) {
    if (tls_ == nullptr) {
      return ::recv(socket_.fd(), to, n, 0);
    }
    const int got = SSL_read(tls_.get(), to, static_cast<int>(n));
    return got > 0 ? got : SSL_get_error(tls_.get(), got) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
  }

 private:
  explicit Channel(Socket socket) : socket_(std::move(socket)) {}

  Status start_tls(const HttpServer& server) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    const std::unique_ptr<BIO, FreeWith<BIO_free_all>> bio(
        BIO_new_mem_buf(server.ca_pem.data(), static_cast<int>(server.ca_pem.size()))
    );
    const std::unique_ptr<X509, FreeWith<X509_free>> ca(
        PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)
    );
    if (ca == nullptr) {
      return fail(Errc::kCertificateValidation, "the CA certificate is not readable as PEM");
    }
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), ca.get());
    tls_.reset(SSL_new(context_.get()));
    SSL_set_fd(tls_.get(), socket_.fd());
    X509_VERIFY_PARAM* param = SSL_get0_param(tls_.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(param, server.host.c_str()) != 1) {
      // The function behind SSL_set_tlsext_host_name, which casts in the old style.
      SSL_ctrl(
          tls_.get(),
          SSL_CTRL_SET_TLSEXT_HOSTNAME,
          TLSEXT_NAMETYPE_host_name,
          const_cast<char*>(server.host.c_str())
      );
      SSL_set1_host(tls_.get(), server.host.c_str());
    }
    ERR_clear_error();
    if (SSL_connect(tls_.get()) != 1) {
      const long verified = SSL_get_verify_result(tls_.get());
      if (verified != X509_V_OK) {
        return fail(
            Errc::kCertificateValidation,
            address_of(server) + " does not show the certificate expected: " +
                X509_verify_cert_error_string(verified)
        );
      }
      return fail(Errc::kUnavailable, address_of(server) + " does not speak TLS");
    }
    return {};
  }

  Socket socket_;
  std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>> context_;
  std::unique_ptr<SSL, FreeWith<SSL_free>> tls_;
};

std::string text_of(const HttpRequest& request, const HttpServer& server) {
  std::string text = request.method + " " + request.target + " HTTP/1.1\r\n";
  if (request.headers.find("host") == nullptr) {
    text += "Host: " + host_header(server) + "\r\n";
  }
  for (const auto& [name, value] : request.headers) {
    text += name + ": " + value + "\r\n";
  }
  text +=
      "Connection: close\r\nContent-Length: " + std::to_string(request.body.size()) + "\r\n\r\n";
  return text + request.body;
}

}  // namespace

std::string host_header(const HttpServer& server) {
  const std::string host =
      server.host.find(':') == std::string::npos ? server.host : "[" + server.host + "]";
  const bool usual = server.port == (server.tls ? 443 : 80);
  return usual ? host : host + ":" + std::to_string(server.port);
}

Result<HttpResponse> http_call(
    const HttpServer& server, HttpRequest request, std::chrono::milliseconds timeout
) {
  IOTCORE_ASSIGN(Channel channel, Channel::open(server, timeout));
  if (!channel.write(text_of(request, server))) {
    return fail(Errc::kUnavailable, address_of(server) + " broke off");
  }
  HttpReplyParser parser(request.method == "HEAD", kReplyBytesMax);
  std::array<char, 16'384> chunk;
  while (!parser.done()) {
    const long n = channel.read(chunk.data(), chunk.size());
    if (n < 0) {
      return fail(Errc::kTimeout, address_of(server) + " broke off, or did not answer in time");
    }
    const Status taken =
        n == 0 ? parser.put_end() : parser.put({chunk.data(), static_cast<std::size_t>(n)});
    if (!taken) {
      return fail(
          Errc::kUnavailable, "the answer of " + address_of(server) + ": " + taken.error().message()
      );
    }
  }
  return parser.take();
}

}  // namespace iotcore::net
