#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "net/socket.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

namespace iotcore::net {

// How a client makes sure whom it talks to, and shows who it is.
struct ClientTls {
  std::string ca_pem;  // who must have signed the server's certificate; empty: the system's CAs
  std::string certificate_pem;  // of our own, its chain behind it; empty: none
  std::string private_key_pem;
  bool verify = true;  // false: whoever answers is taken for the server
};

// Whether to connect to an address at all; its error says why not.
using AddressRule = std::function<Status(std::string_view ip)>;

// A connection to a server, plain or TLS, for code that may block. Every call ends by the deadline. kUnavailable when the server can't be reached or
// breaks off, kTimeout, kCertificateValidation when it is not who it should be; of no use after an error. One thread at a time.
class ClientChannel {
 public:
  // Tries every address of the name that `admits` has nothing against; null: every one. What was found to be admitted is what it connects to.
  static Result<ClientChannel> open(
      const std::string& host,
      std::uint16_t port,
      std::chrono::milliseconds timeout,
      const AddressRule& admits = {}
  );
  ClientChannel(ClientChannel&&) noexcept;
  ClientChannel& operator=(ClientChannel&&) noexcept;
  ~ClientChannel();

  // From now on; what follows has to be done by then.
  void set_deadline(std::chrono::milliseconds timeout);
  // Goes on in TLS; the certificate has to be that of the host.
  Status start_tls(const ClientTls& tls);
  Status write(std::string_view bytes);
  // At least one byte; 0: the server has ended the connection.
  Result<std::size_t> read(char* to, std::size_t bytes);
  // The server has sent something unasked, or has gone: not to be used for another request.
  bool is_stale() const;

  const std::string& host() const { return host_; }

 private:
  struct FreeSsl {
    void operator()(SSL* ssl) const;
    void operator()(SSL_CTX* context) const;
  };

  ClientChannel(UniqueFd fd, std::string host, std::uint16_t port);

  Status wait(short events) const;
  // After a call of OpenSSL that did not do all: waits for what it wants.
  Status wait_for_tls(int returned);
  std::string address() const;

  UniqueFd fd_;
  std::string host_;
  std::uint16_t port_;
  MonotonicTime deadline_ = MonotonicTime::max();
  std::unique_ptr<SSL_CTX, FreeSsl> context_;
  std::unique_ptr<SSL, FreeSsl> tls_;
};

}  // namespace iotcore::net
