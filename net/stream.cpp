#include "net/stream.h"

#include "net/descriptor_bio.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cerrno>
#include <sys/socket.h>

namespace iotcore::net {
namespace {

bool would_block() {
  return errno == EAGAIN || errno == EWOULDBLOCK;
}

}  // namespace

void Stream::SslDeleter::operator()(SSL* ssl) const {
  // Else OpenSSL forgets the session of a connection that ended without close_notify, as those of devices do, and they could not resume.
  SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(ssl);
}

HandshakeStatus Stream::handshake() {
  if (ssl_ == nullptr) {
    return HandshakeStatus::kDone;
  }
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    return HandshakeStatus::kDone;
  }
  const int error = SSL_get_error(ssl_.get(), result);
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE
             ? HandshakeStatus::kWouldBlock
             : HandshakeStatus::kFailed;
}

void Stream::finish_handshake() {
  if (ssl_ == nullptr) {
    return;
  }
  BIO* const bio = SSL_get_rbio(ssl_.get());
  std::string unread = take_unread(bio);
  records_ = TlsRecords::take_over(ssl_.get(), unread);
  if (records_ != nullptr) {
    ssl_.reset();
  } else {
    give_back_unread(bio, std::move(unread));
  }
}

ReadResult Stream::read(std::span<char> buffer) {
  if (records_ != nullptr) {
    return records_->read(fd_.get(), buffer);
  }
  return ssl_ != nullptr ? read_tls(buffer) : read_raw(buffer);
}

ReadResult Stream::read_raw(std::span<char> buffer) {
  while (true) {
    const ssize_t n = recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (n > 0) {
      const auto bytes = static_cast<std::size_t>(n);
      return {IoStatus::kOk, bytes, bytes < buffer.size()};
    }
    if (n == 0) {
      return {IoStatus::kClosed, 0, true};
    }
    if (would_block()) {
      return {IoStatus::kWouldBlock, 0, true};
    }
    if (errno != EINTR) {
      return {IoStatus::kError, 0, true};
    }
  }
}

ReadResult Stream::read_tls(std::span<char> buffer) {
  ReadResult result = {IoStatus::kOk, 0, false};
  while (result.bytes < buffer.size()) {
    std::size_t n = 0;
    ERR_clear_error();
    const int ok =
        SSL_read_ex(ssl_.get(), buffer.data() + result.bytes, buffer.size() - result.bytes, &n);
    if (ok == 1) {
      result.bytes += n;
      if (SSL_has_pending(ssl_.get()) == 0 && last_read_drained()) {
        result.drained = true;
        return result;
      }
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), ok);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
      result.drained = true;
      result.status = result.bytes > 0 ? IoStatus::kOk : IoStatus::kWouldBlock;
      return result;
    }
    if (result.bytes > 0) {
      return result;  // the next call meets the end again
    }
    return {error == SSL_ERROR_ZERO_RETURN ? IoStatus::kClosed : IoStatus::kError, 0, true};
  }
  return result;
}

WriteResult Stream::write(std::string_view bytes) {
  if (records_ != nullptr) {
    return records_->write(fd_.get(), bytes);
  }
  if (ssl_ != nullptr) {
    return write_tls(bytes);
  }
  WriteResult result = {IoStatus::kOk, 0};
  while (result.bytes < bytes.size()) {
    const ssize_t n =
        send(fd_.get(), bytes.data() + result.bytes, bytes.size() - result.bytes, MSG_NOSIGNAL);
    if (n >= 0) {
      result.bytes += static_cast<std::size_t>(n);
    } else if (would_block()) {
      result.status = IoStatus::kWouldBlock;
      return result;
    } else if (errno != EINTR) {
      result.status = IoStatus::kError;
      return result;
    }
  }
  return result;
}

WriteResult Stream::write_tls(std::string_view bytes) {
  WriteResult result = {IoStatus::kOk, 0};
  while (result.bytes < bytes.size()) {
    std::size_t n = 0;
    ERR_clear_error();
    const int ok =
        SSL_write_ex(ssl_.get(), bytes.data() + result.bytes, bytes.size() - result.bytes, &n);
    if (ok == 1) {
      result.bytes += n;
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), ok);
    result.status = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE
                        ? IoStatus::kWouldBlock
                        : IoStatus::kError;
    return result;
  }
  return result;
}

void Stream::shutdown_write() {
  if (records_ != nullptr) {
    records_->close_notify(fd_.get());
  } else if (ssl_ != nullptr) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
  }
  ::shutdown(fd_.get(), SHUT_WR);
}

void Stream::close() {
  ssl_.reset();
  records_.reset();
  fd_.reset();
}

std::string Stream::server_name() const {
  const char* name =
      ssl_ != nullptr ? SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name) : nullptr;
  return name == nullptr ? std::string() : std::string(name);
}

std::string_view Stream::alpn_protocol() const {
  if (ssl_ == nullptr) {
    return {};
  }
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

bool Stream::was_resumed() const {
  return ssl_ != nullptr && SSL_session_reused(ssl_.get()) == 1;
}

SharedPeerCertificate Stream::take_peer_certificate() {
  SSL_SESSION* session = ssl_ != nullptr ? SSL_get_session(ssl_.get()) : nullptr;
  SharedPeerCertificate certificate = peer_certificate_of(session);
  if (certificate) {
    set_peer_certificate(session, nullptr);
    shrink_peer_certificate(ssl_.get());
  }
  return certificate;
}

std::string Stream::handshake_error() {
  const unsigned long error = ERR_peek_last_error();
  const char* reason = error == 0 ? nullptr : ERR_reason_error_string(error);
  return reason == nullptr ? std::string("connection closed") : std::string(reason);
}

}  // namespace iotcore::net
