#pragma once

#include "net/tls_secrets.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace iotcore::net {

struct RecordSuite;

// What a record of TLS 1.3 holds (RFC 8446 5.1).
enum class RecordType : std::uint8_t {
  kChangeCipherSpec = 20,
  kAlert = 21,
  kHandshake = 22,
  kApplicationData = 23,
};

// One direction of a TLS 1.3 connection: its key and the number of its next record (RFC 8446 5.2, 5.3, 7.3). Small, because every idle connection has
// two: the expanded key belongs to the thread, and is made anew when another connection had its turn.
class RecordCipher {
 public:
  static constexpr std::size_t kHeaderBytes = 5;
  static constexpr std::size_t kPlainBytesMax = 16 * 1024;
  static constexpr std::size_t kTagBytes = 16;
  // What a record is longer than what it says: header, type and tag.
  static constexpr std::size_t kOverheadBytes = kHeaderBytes + 1 + kTagBytes;
  // A peer may pad, to no more than this (5.2).
  static constexpr std::size_t kSealedBytesMax = kPlainBytesMax + 256;

  // Null if the suite is not one of ours: TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256.
  static const RecordSuite* find_suite(std::uint16_t number);

  RecordCipher(const RecordSuite& suite, const TrafficSecret& secret, std::uint64_t sequence);
  ~RecordCipher();
  RecordCipher(const RecordCipher&) = delete;
  RecordCipher& operator=(const RecordCipher&) = delete;

  // Writes one whole record, kOverheadBytes more than `plain`, which is at most kPlainBytesMax. Returns its end.
  char* seal(char* out, RecordType type, std::string_view plain);

  struct Opened {
    bool ok = false;  // else nobody knows what it was
    RecordType type{};
    std::size_t bytes = 0;
  };

  // A whole record, header included, in place: what it says is then behind its header, without type and padding.
  Opened open(std::span<char> record);

  // The key that follows, and counting begins anew (RFC 8446 7.2).
  void next_key();

  // How many records there have been under this key.
  std::uint64_t sequence() const { return sequence_; }

 private:
  static constexpr std::size_t kIvBytes = 12;
  static constexpr std::size_t kKeyBytesMax = 32;
  class Context;

  void derive_key();
  std::array<std::uint8_t, kIvBytes> next_nonce();
  Context& context(bool seals);

  const RecordSuite& suite_;
  std::uint64_t id_ = 0;  // of this key in this process
  std::uint64_t sequence_;
  TrafficSecret secret_;
  std::array<std::uint8_t, kKeyBytesMax> key_ = {};
  std::array<std::uint8_t, kIvBytes> iv_ = {};
};

// HKDF-Expand-Label (RFC 8446 7.1) with an empty context, for outputs no longer than the hash. `hash` is the digest's name.
void hkdf_expand_label(
    const char* hash,
    const TrafficSecret& secret,
    std::string_view label,
    std::span<std::uint8_t> out
);

}  // namespace iotcore::net
