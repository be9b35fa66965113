#include "net/tls_records.h"

#include "base/check.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <utility>

namespace iotcore::net {

// RFC 8446 6
enum class TlsRecords::Alert : std::uint8_t {
  kCloseNotify = 0,
  kUnexpectedMessage = 10,
  kBadRecordMac = 20,
  kRecordOverflow = 22,
  kDecodeError = 50,
};

namespace {

constexpr std::uint8_t kFatal = 2;
constexpr std::uint8_t kWarning = 1;
constexpr std::uint8_t kKeyUpdate = 24;
constexpr std::uint8_t kUserCanceled = 90;
// AES-GCM is good for 2^24.5 full records under one key (RFC 8446 5.5).
constexpr std::uint64_t kRecordsPerKey = std::uint64_t{1} << 23U;
// What is sealed before it is written: four records of data, and a KeyUpdate.
constexpr std::size_t kPlainAtOnceMax = 4 * RecordCipher::kPlainBytesMax;
constexpr std::size_t kSealedAtOnceMax = kPlainAtOnceMax + 5 + 5 * RecordCipher::kOverheadBytes;

std::uint8_t byte_at(std::string_view bytes, std::size_t i) {
  return static_cast<std::uint8_t>(bytes[i]);
}

bool would_block() {
  return errno == EAGAIN || errno == EWOULDBLOCK;
}

}  // namespace

std::unique_ptr<TlsRecords> TlsRecords::take_over(const SSL* ssl, std::string unread) {
  const HandshakeSecrets* const secrets = secrets_of(ssl);
  const SSL_CIPHER* const cipher = SSL_get_current_cipher(ssl);
  if (secrets == nullptr || cipher == nullptr || SSL_version(ssl) != TLS1_3_VERSION ||
      SSL_is_init_finished(ssl) == 0 || SSL_has_pending(ssl) != 0) {
    return nullptr;
  }
  const RecordSuite* const suite = RecordCipher::find_suite(SSL_CIPHER_get_protocol_id(cipher));
  if (suite == nullptr) {
    return nullptr;
  }
  return std::make_unique<TlsRecords>(
      *suite, secrets->client, secrets->server, secrets->tickets_sent, std::move(unread)
  );
}

TlsRecords::TlsRecords(
    const RecordSuite& suite,
    const TrafficSecret& reads,
    const TrafficSecret& writes,
    std::uint64_t records_written,
    std::string unread
)
    : reads_(suite, reads, 0), writes_(suite, writes, records_written), in_(std::move(unread)) {}

// ---- Reading ----

ReadResult TlsRecords::read(int fd, std::span<char> buffer) {
  IOTCORE_CHECK(buffer.size() >= kReadBytesMin);
  if (failed_) {
    return {IoStatus::kError, 0, true};
  }
  const std::size_t before = in_.size();
  IOTCORE_CHECK(before <= buffer.size());
  std::memcpy(buffer.data(), in_.data(), before);
  ssize_t n = 0;
  do {
    n = closed_ ? 0 : recv(fd, buffer.data() + before, buffer.size() - before, 0);
  } while (n < 0 && errno == EINTR);
  const bool broken = n < 0 && !would_block();
  const auto came = static_cast<std::size_t>(std::max<ssize_t>(n, 0));
  const std::span<char> wire = buffer.first(before + came);
  std::size_t plain_bytes = 0;
  const std::size_t taken = open_all(wire, plain_bytes);
  const std::span<char> rest = wire.subspan(taken);
  if (rest.empty() && in_.capacity() > 64) {
    in_ = std::string();
  } else {
    in_.assign(rest.data(), rest.size());
  }
  if (alert_ != 0) {
    send_alert(fd, kFatal, std::exchange(alert_, std::uint8_t{0}));
  }
  if (plain_bytes != 0) {
    // Whatever ended here is met again by the next call.
    const bool drained = n < 0 || (n > 0 && came < buffer.size() - before);
    return {IoStatus::kOk, plain_bytes, drained && !closed_ && !failed_};
  }
  if (failed_ || broken) {
    return {IoStatus::kError, 0, true};
  }
  if (closed_ || n == 0) {
    return {IoStatus::kClosed, 0, true};
  }
  return {IoStatus::kWouldBlock, 0, true};
}

std::size_t TlsRecords::open_all(std::span<char> wire, std::size_t& plain_bytes) {
  std::size_t at = 0;
  while (!failed_ && !closed_ && wire.size() - at >= RecordCipher::kHeaderBytes) {
    const std::string_view header(wire.data() + at, RecordCipher::kHeaderBytes);
    const std::size_t size =
        static_cast<std::size_t>(byte_at(header, 3)) << 8U | byte_at(header, 4);
    if (byte_at(header, 0) != static_cast<std::uint8_t>(RecordType::kApplicationData)) {
      fail(Alert::kUnexpectedMessage);  // nothing comes in the clear after the handshake
      break;
    }
    if (size > RecordCipher::kSealedBytesMax) {
      fail(Alert::kRecordOverflow);
      break;
    }
    const std::size_t whole = RecordCipher::kHeaderBytes + size;
    if (wire.size() - at < whole) {
      break;
    }
    const RecordCipher::Opened opened = reads_.open(wire.subspan(at, whole));
    if (!opened.ok) {
      fail(Alert::kBadRecordMac);
      break;
    }
    if (opened.bytes > RecordCipher::kPlainBytesMax) {
      fail(Alert::kRecordOverflow);
      break;
    }
    const char* const plain = wire.data() + at + RecordCipher::kHeaderBytes;
    if (opened.type == RecordType::kApplicationData) {
      std::memmove(wire.data() + plain_bytes, plain, opened.bytes);
      plain_bytes += opened.bytes;
    } else if (!on_record(opened.type, {plain, opened.bytes})) {
      break;
    }
    at += whole;
  }
  return failed_ || closed_ ? wire.size() : at;
}

bool TlsRecords::on_record(RecordType type, std::string_view plain) {
  switch (type) {
    case RecordType::kHandshake:
      return on_handshake(plain);
    case RecordType::kAlert:
      return on_alert(plain);
    default:
      return fail(Alert::kUnexpectedMessage);
  }
}

// A server that has asked for no certificate after the handshake gets nothing but KeyUpdate, which ends its record as the key changes (RFC 8446 5.1).
bool TlsRecords::on_handshake(std::string_view message) {
  constexpr std::string_view kLength("\0\0\1", 3);
  if (message.empty() || byte_at(message, 0) != kKeyUpdate) {
    return fail(Alert::kUnexpectedMessage);
  }
  if (message.size() != 5 || message.substr(1, 3) != kLength || byte_at(message, 4) > 1) {
    return fail(Alert::kDecodeError);
  }
  reads_.next_key();
  key_update_due_ = key_update_due_ || byte_at(message, 4) == 1;
  return true;
}

bool TlsRecords::on_alert(std::string_view alert) {
  if (alert.size() != 2) {
    return fail(Alert::kDecodeError);
  }
  if (byte_at(alert, 1) == kUserCanceled) {
    return true;  // close_notify follows
  }
  closed_ = byte_at(alert, 1) == static_cast<std::uint8_t>(Alert::kCloseNotify);
  failed_ = !closed_;
  return false;
}

bool TlsRecords::fail(Alert alert) {
  failed_ = true;
  alert_ = static_cast<std::uint8_t>(alert);
  return false;
}

// ---- Writing ----

WriteResult TlsRecords::write(int fd, std::string_view bytes) {
  IOTCORE_CHECK(unreported_bytes_ <= bytes.size());
  WriteResult result = {failed_ ? IoStatus::kError : IoStatus::kOk, 0};
  if (result.status == IoStatus::kOk && !out_.empty()) {
    result.status = send_records(fd, {});
  }
  if (result.status == IoStatus::kOk) {
    result.bytes = std::exchange(unreported_bytes_, 0);
  }
  while (result.status == IoStatus::kOk && result.bytes < bytes.size()) {
    thread_local std::array<char, kSealedAtOnceMax> sealed;
    const std::string_view now = bytes.substr(result.bytes, kPlainAtOnceMax);
    const char* const end = seal_data(sealed.data(), now);
    result.status =
        send_records(fd, {sealed.data(), static_cast<std::size_t>(end - sealed.data())});
    if (result.status == IoStatus::kOk) {
      result.bytes += now.size();
    } else {
      unreported_bytes_ = now.size();
    }
  }
  return result;
}

char* TlsRecords::seal_data(char* out, std::string_view bytes) {
  if (key_update_due_ || writes_.sequence() >= kRecordsPerKey) {
    key_update_due_ = false;
    constexpr char kNotRequested = 0;
    const char message[] = {static_cast<char>(kKeyUpdate), 0, 0, 1, kNotRequested};
    out = writes_.seal(out, RecordType::kHandshake, {message, sizeof(message)});
    writes_.next_key();
  }
  for (std::size_t at = 0; at < bytes.size(); at += RecordCipher::kPlainBytesMax) {
    out = writes_.seal(
        out, RecordType::kApplicationData, bytes.substr(at, RecordCipher::kPlainBytesMax)
    );
  }
  return out;
}

IoStatus TlsRecords::send_records(int fd, std::string_view records) {
  const bool is_first = out_.empty();
  if (!is_first) {
    out_.append(records);
    records = out_;
  }
  IoStatus status = IoStatus::kOk;
  while (!records.empty() && status == IoStatus::kOk) {
    const ssize_t n = send(fd, records.data(), records.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      records.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno != EINTR) {
      status = would_block() ? IoStatus::kWouldBlock : IoStatus::kError;
    }
  }
  if (records.empty()) {
    out_ = std::string();
  } else if (is_first) {
    out_ = records;
  } else {
    out_.erase(0, out_.size() - records.size());
  }
  return status;
}

void TlsRecords::send_alert(int fd, std::uint8_t level, std::uint8_t alert) {
  const char message[] = {static_cast<char>(level), static_cast<char>(alert)};
  std::array<char, sizeof(message) + RecordCipher::kOverheadBytes> record;
  writes_.seal(record.data(), RecordType::kAlert, {message, sizeof(message)});
  static_cast<void>(send_records(fd, {record.data(), record.size()})
  );  // whoever sent nonsense may not listen
}

void TlsRecords::close_notify(int fd) {
  if (!failed_) {
    send_alert(fd, kWarning, static_cast<std::uint8_t>(Alert::kCloseNotify));
    failed_ = true;
  }
}

}  // namespace iotcore::net
