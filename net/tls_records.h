#pragma once

#include "net/io_result.h"
#include "net/record_cipher.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace iotcore::net {

// TLS 1.3 after the handshake: records, alerts and changes of keys, on a socket. Takes over from OpenSSL, whose state for a connection is some 16 KiB
// for as long as it lasts; this is a quarter of one. docs/decisions says why and what it leaves out.
class TlsRecords {
 public:
  // The least that read() can do with.
  static constexpr std::size_t kReadBytesMin =
      RecordCipher::kHeaderBytes + RecordCipher::kSealedBytesMax;

  // Null where OpenSSL has to go on: another version or suite, or bytes that it has read already. `unread`: what has come from the socket and has not
  // been given to it.
  static std::unique_ptr<TlsRecords> take_over(const SSL* ssl, std::string unread);

  TlsRecords(
      const RecordSuite& suite,
      const TrafficSecret& reads,
      const TrafficSecret& writes,
      std::uint64_t records_written,
      std::string unread
  );

  // As those of Stream. A write that ends with kWouldBlock is to be repeated with the same bytes in front.
  ReadResult read(int fd, std::span<char> buffer);
  WriteResult write(int fd, std::string_view bytes);
  // Says that nothing follows (close_notify), if the socket takes it.
  void close_notify(int fd);

 private:
  enum class Alert : std::uint8_t;

  // Takes whole records from the front of `wire` and leaves what they say there. Returns how many bytes of the wire it took.
  std::size_t open_all(std::span<char> wire, std::size_t& plain_bytes);
  bool on_record(RecordType type, std::string_view plain);
  bool on_handshake(std::string_view message);
  bool on_alert(std::string_view alert);
  bool fail(Alert alert);
  // Seals data, and before it what is due. Returns the end of the records.
  char* seal_data(char* out, std::string_view bytes);
  void send_alert(int fd, std::uint8_t level, std::uint8_t alert);
  // What is left of out_, then this; what does not go out is in out_ then.
  IoStatus send_records(int fd, std::string_view records);

  RecordCipher reads_;
  RecordCipher writes_;
  std::string in_;                    // an unfinished record
  std::string out_;                   // sealed and not written
  std::size_t unreported_bytes_ = 0;  // of the data in out_, not yet reported as written
  bool closed_ = false;               // close_notify has come
  bool failed_ = false;
  bool key_update_due_ = false;
  std::uint8_t alert_ = 0;  // to be sent: what the peer did wrong
};

}  // namespace iotcore::net
