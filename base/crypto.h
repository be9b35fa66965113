#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore {

using Sha256 = std::array<std::uint8_t, 32>;

Sha256 sha256(std::string_view bytes);
Sha256 hmac_sha256(std::string_view key, std::string_view bytes);

inline std::string_view as_text(const Sha256& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

enum class Digest : std::uint8_t { kMd5, kSha1, kSha224, kSha256, kSha384, kSha512 };
// The raw digest. MD5 and SHA-1 are for those who must speak an old format, never for security.
std::string digest(Digest algorithm, std::string_view bytes);

// Lower case.
std::string to_hex(std::string_view bytes);
// Either case; nothing on odd length or another character.
std::optional<std::string> from_hex(std::string_view hex);

// RFC 4648 section 4, with padding.
std::string to_base64(std::string_view bytes);
// Strict: padding required, no white space, no characters after it.
std::optional<std::string> from_base64(std::string_view text);

// AES-256-GCM under a key of 32 bytes: a random nonce, the ciphertext and the tag in one string.
// `context` is not stored but has to be the same when unsealing: it ties a secret to its place.
inline constexpr std::size_t kSealKeyBytes = 32;
std::string seal(std::string_view key, std::string_view secret, std::string_view context);
// Nothing: the key or the context is another one, or the bytes were changed.
std::optional<std::string> unseal(
    std::string_view key, std::string_view sealed, std::string_view context
);

// From the operating system's generator by way of OpenSSL.
std::string random_bytes(std::size_t n);
// Version 4, lower case, 36 characters.
std::string new_uuid();

// Takes as long for a difference in the first byte as for none.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace iotcore
