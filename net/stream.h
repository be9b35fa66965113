#pragma once

#include "net/io_result.h"
#include "net/peer_certificate.h"
#include "net/socket.h"
#include "net/tls_records.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace iotcore::net {

enum class HandshakeStatus : std::uint8_t { kDone, kWouldBlock, kFailed };

// A connected non-blocking socket, plain or TLS. Moves between threads as a value; used by one at a time. OpenSSL makes the handshake, and goes on where
// TlsRecords cannot take over from it.
class Stream {
 public:
  // What one TLS record holds: writing more at once saves nothing.
  static constexpr std::size_t kRecordBytesMax = 16 * 1024;

  Stream() = default;

  explicit Stream(UniqueFd fd) : fd_(std::move(fd)) {}

  // Takes over `ssl`, which is attached to `fd`. Made by TlsContext::accept.
  Stream(UniqueFd fd, SSL* ssl) : fd_(std::move(fd)), ssl_(ssl) {}

  Stream(Stream&& other) noexcept = default;
  Stream& operator=(Stream&& other) noexcept = default;

  ~Stream() { close(); }

  int fd() const { return fd_.get(); }

  bool is_tls() const { return ssl_ != nullptr || records_ != nullptr; }

  // One flight of the TLS handshake. To be called again when the descriptor is ready; kDone at once on a plain stream.
  HandshakeStatus handshake();

  // Once the handshake is done and all is known that follows from it, of which the stream knows nothing any more afterwards.
  void finish_handshake();

  // Fills `buffer`, of at least TlsRecords::kReadBytesMin, as far as what has arrived reaches.
  ReadResult read(std::span<char> buffer);
  // Past TLS, for what is only to be thrown away after shutdown_write().
  ReadResult read_raw(std::span<char> buffer);
  // Writes from the front of `bytes` until all are written or it would block.
  WriteResult write(std::string_view bytes);
  // Says that no more will come (TLS close_notify, TCP FIN).
  void shutdown_write();
  void close();

  // Of a finished handshake. The server name is empty if the client named none, the protocol if none was agreed.
  std::string server_name() const;
  std::string_view alpn_protocol() const;
  bool was_resumed() const;
  // Of the handshake that began the session, this one or the one that it resumes; null: none was shown. Once: the connection then forgets it.
  SharedPeerCertificate take_peer_certificate();
  // Why the handshake failed, for the log.
  static std::string handshake_error();

 private:
  struct SslDeleter {
    void operator()(SSL* ssl) const;
  };

  ReadResult read_tls(std::span<char> buffer);
  WriteResult write_tls(std::string_view bytes);

  UniqueFd fd_;
  std::unique_ptr<SSL, SslDeleter> ssl_;
  std::unique_ptr<TlsRecords> records_;  // instead of it
};

}  // namespace iotcore::net
