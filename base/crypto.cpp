#include "base/crypto.h"

#include "base/check.h"
#include "base/text.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <memory>

namespace iotcore {
namespace {

constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;

struct CipherDeleter {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, CipherDeleter>;

unsigned char* bytes_of(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// One digest context a thread, its algorithm looked up once.
class Sha256Hasher {
 public:
  static Sha256Hasher& of_this_thread() {
    thread_local Sha256Hasher hasher;
    return hasher;
  }

  Sha256Hasher(const Sha256Hasher&) = delete;
  Sha256Hasher& operator=(const Sha256Hasher&) = delete;

  void start() { IOTCORE_CHECK(EVP_DigestInit_ex2(context_.get(), algorithm(), nullptr) == 1); }

  void add(std::string_view bytes) {
    IOTCORE_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }

  Sha256 finish() {
    Sha256 digest;
    unsigned int size = 0;
    IOTCORE_CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1);
    return digest;
  }

 private:
  struct Deleter {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };

  Sha256Hasher() : context_(EVP_MD_CTX_new()) { IOTCORE_CHECK(context_ != nullptr); }

  // Never freed: threads may hash until the process ends.
  static const EVP_MD* algorithm() {
    static const EVP_MD* const found = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return found;
  }

  std::unique_ptr<EVP_MD_CTX, Deleter> context_;
};

}  // namespace

Sha256 sha256(std::string_view bytes) {
  Sha256Hasher& hasher = Sha256Hasher::of_this_thread();
  hasher.start();
  hasher.add(bytes);
  return hasher.finish();
}

std::string digest(Digest algorithm, std::string_view bytes) {
  const EVP_MD* const kinds[] = {
      EVP_md5(), EVP_sha1(), EVP_sha224(), EVP_sha256(), EVP_sha384(), EVP_sha512()};
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  IOTCORE_CHECK(
      EVP_Digest(
          bytes.data(),
          bytes.size(),
          bytes_of(out),
          &size,
          kinds[static_cast<std::size_t>(algorithm)],
          nullptr
      ) == 1
  );
  out.resize(size);
  return out;
}

// RFC 2104. OpenSSL's own looks its algorithm up at every call, which costs more than the hashing.
Sha256 hmac_sha256(std::string_view key, std::string_view bytes) {
  constexpr std::size_t kBlockBytes = 64;
  std::array<char, kBlockBytes> block = {};
  const Sha256 short_key = key.size() > kBlockBytes ? sha256(key) : Sha256();
  const std::string_view used_key = key.size() > kBlockBytes ? as_text(short_key) : key;
  std::copy(used_key.begin(), used_key.end(), block.begin());
  const auto mask = [&block](unsigned char with) {
    for (char& c : block) {
      c = static_cast<char>(static_cast<unsigned char>(c) ^ with);
    }
  };
  Sha256Hasher& hasher = Sha256Hasher::of_this_thread();
  mask(0x36);
  hasher.start();
  hasher.add({block.data(), block.size()});
  hasher.add(bytes);
  const Sha256 inner = hasher.finish();
  mask(0x36 ^ 0x5c);
  hasher.start();
  hasher.add({block.data(), block.size()});
  hasher.add(as_text(inner));
  OPENSSL_cleanse(block.data(), block.size());
  return hasher.finish();
}

std::string to_hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto b = static_cast<unsigned char>(c);
    out.push_back(kDigits[b >> 4]);
    out.push_back(kDigits[b & 15]);
  }
  return out;
}

std::optional<std::string> from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) {
    return std::nullopt;
  }
  std::string out;
  out.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = hex_digit(hex[i]);
    const int low = hex_digit(hex[i + 1]);
    if (high < 0 || low < 0) {
      return std::nullopt;
    }
    out.push_back(static_cast<char>(high * 16 + low));
  }
  return out;
}

std::string to_base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4, '\0');
  const int n = EVP_EncodeBlock(
      reinterpret_cast<unsigned char*>(out.data()), bytes_of(bytes), static_cast<int>(bytes.size())
  );
  out.resize(static_cast<std::size_t>(n));
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) {
    return std::nullopt;
  }
  // EVP_DecodeBlock skips white space at both ends and takes '=' anywhere; the standard does not.
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  for (const char c : text.substr(0, text.size() - padding)) {
    const bool in_alphabet = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                             (c >= '0' && c <= '9') || c == '+' || c == '/';
    if (!in_alphabet) {
      return std::nullopt;
    }
  }
  std::string out(text.size() / 4 * 3, '\0');
  const int n = EVP_DecodeBlock(
      reinterpret_cast<unsigned char*>(out.data()), bytes_of(text), static_cast<int>(text.size())
  );
  if (n < 0) {
    return std::nullopt;
  }
  out.resize(out.size() - padding);
  return out;
}

std::string seal(std::string_view key, std::string_view secret, std::string_view context) {
  IOTCORE_CHECK(key.size() == kSealKeyBytes);
  const std::string nonce = random_bytes(kNonceBytes);
  std::string cipher(secret.size(), '\0');
  std::string tag(kTagBytes, '\0');
  const CipherContext c(EVP_CIPHER_CTX_new());
  int n = 0;
  const bool ok =
      EVP_EncryptInit_ex(c.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key), bytes_of(nonce)) ==
          1 &&
      EVP_EncryptUpdate(
          c.get(), nullptr, &n, bytes_of(context), static_cast<int>(context.size())
      ) == 1 &&
      EVP_EncryptUpdate(
          c.get(), bytes_of(cipher), &n, bytes_of(secret), static_cast<int>(secret.size())
      ) == 1 &&
      EVP_EncryptFinal_ex(c.get(), bytes_of(tag), &n) == 1 &&
      EVP_CIPHER_CTX_ctrl(
          c.get(), EVP_CTRL_GCM_GET_TAG, static_cast<int>(kTagBytes), bytes_of(tag)
      ) == 1;
  IOTCORE_CHECK(ok);
  return nonce + cipher + tag;
}

std::optional<std::string> unseal(
    std::string_view key, std::string_view sealed, std::string_view context
) {
  if (key.size() != kSealKeyBytes || sealed.size() < kNonceBytes + kTagBytes) {
    return std::nullopt;
  }
  const std::string_view nonce = sealed.substr(0, kNonceBytes);
  const std::string_view cipher =
      sealed.substr(kNonceBytes, sealed.size() - kNonceBytes - kTagBytes);
  std::string tag(sealed.substr(sealed.size() - kTagBytes));
  std::string secret(cipher.size(), '\0');
  const CipherContext c(EVP_CIPHER_CTX_new());
  int n = 0;
  const bool ok =
      EVP_DecryptInit_ex(c.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key), bytes_of(nonce)) ==
          1 &&
      EVP_DecryptUpdate(
          c.get(), nullptr, &n, bytes_of(context), static_cast<int>(context.size())
      ) == 1 &&
      EVP_DecryptUpdate(
          c.get(), bytes_of(secret), &n, bytes_of(cipher), static_cast<int>(cipher.size())
      ) == 1 &&
      EVP_CIPHER_CTX_ctrl(
          c.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(kTagBytes), bytes_of(tag)
      ) == 1 &&
      EVP_DecryptFinal_ex(c.get(), bytes_of(tag), &n) == 1;
  if (!ok) {
    return std::nullopt;
  }
  return secret;
}

std::string random_bytes(std::size_t n) {
  std::string out(n, '\0');
  IOTCORE_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(n)) == 1);
  return out;
}

namespace {

// Every request has one, and the generator's cost is by the call: so much at a time, for names and not for keys.
std::string bytes_for_uuid() {
  constexpr std::size_t kUuidBytes = 16;
  thread_local std::string of_thread;
  if (of_thread.empty()) {
    of_thread = random_bytes(32 * kUuidBytes);
  }
  const std::string bytes = of_thread.substr(of_thread.size() - kUuidBytes);
  of_thread.resize(of_thread.size() - kUuidBytes);
  return bytes;
}

}  // namespace

std::string new_uuid() {
  std::string b = bytes_for_uuid();
  b[6] = static_cast<char>((b[6] & 0x0F) | 0x40);
  b[8] = static_cast<char>((b[8] & 0x3F) | 0x80);
  const std::string hex = to_hex(b);
  return hex.substr(0, 8) + '-' + hex.substr(8, 4) + '-' + hex.substr(12, 4) + '-' +
         hex.substr(16, 4) + '-' + hex.substr(20);
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace iotcore
