#include "net/record_cipher.h"

#include "base/check.h"
#include "net/free_with.h"
#include "net/tls_library.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>

namespace iotcore::net {

struct RecordSuite {
  std::uint16_t number;
  const char* cipher;
  const char* hash;
  std::size_t key_bytes;
  std::size_t hash_bytes;
};

namespace {

constexpr std::array kSuites = {
    RecordSuite{0x1301, "AES-128-GCM", "SHA2-256", 16, 32},
    RecordSuite{0x1302, "AES-256-GCM", "SHA2-384", 32, 48},
    RecordSuite{0x1303, "ChaCha20-Poly1305", "SHA2-256", 32, 32},
};

// Fetched once: looking an algorithm up costs as much as a record.
const EVP_CIPHER* cipher_of(const RecordSuite& suite) {
  static const auto ciphers = [] {
    std::array<EVP_CIPHER*, kSuites.size()> fetched = {};
    for (std::size_t i = 0; i < kSuites.size(); ++i) {
      fetched[i] = EVP_CIPHER_fetch(tls_library(), kSuites[i].cipher, nullptr);
      IOTCORE_CHECK(fetched[i] != nullptr);
    }
    return fetched;
  }();
  return ciphers[static_cast<std::size_t>(&suite - kSuites.data())];
}

// With the digest set: looking that up costs more than the sum.
struct Hmac {
  const char* hash = nullptr;
  std::unique_ptr<EVP_MAC_CTX, FreeWith<EVP_MAC_CTX_free>> context = {};
};

EVP_MAC_CTX* hmac_of(const char* hash) {
  thread_local std::array<Hmac, 2> of_thread;
  const auto found = std::find_if(of_thread.begin(), of_thread.end(), [hash](const Hmac& hmac) {
    return hmac.hash == nullptr || std::strcmp(hmac.hash, hash) == 0;
  });
  IOTCORE_CHECK(found != of_thread.end());
  if (found->hash == nullptr) {
    static EVP_MAC* const hmac = EVP_MAC_fetch(tls_library(), "HMAC", nullptr);
    const OSSL_PARAM digest[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(hash), 0),
        OSSL_PARAM_construct_end()};
    found->context.reset(EVP_MAC_CTX_new(hmac));
    IOTCORE_CHECK(EVP_MAC_CTX_set_params(found->context.get(), digest) == 1);
    found->hash = hash;
  }
  return found->context.get();
}

int as_int(std::size_t size) {
  return static_cast<int>(size);
}

}  // namespace

void hkdf_expand_label(
    const char* hash,
    const TrafficSecret& secret,
    std::string_view label,
    std::span<std::uint8_t> out
) {
  // One block of HKDF-Expand (RFC 5869 2.3) is enough: HMAC(secret, info | 1).
  constexpr std::string_view kPrefix = "tls13 ";
  std::string info;
  info.push_back('\0');
  info.push_back(static_cast<char>(out.size()));
  info.push_back(static_cast<char>(kPrefix.size() + label.size()));
  info.append(kPrefix).append(label);
  info.push_back('\0');
  info.push_back('\1');
  std::array<std::uint8_t, TrafficSecret::kBytesMax> block = {};
  std::size_t block_bytes = 0;
  EVP_MAC_CTX* const hmac = hmac_of(hash);
  IOTCORE_CHECK(
      EVP_MAC_init(hmac, secret.bytes.data(), secret.size, nullptr) == 1 &&
      EVP_MAC_update(hmac, reinterpret_cast<const unsigned char*>(info.data()), info.size()) == 1 &&
      EVP_MAC_final(hmac, block.data(), &block_bytes, block.size()) == 1 &&
      out.size() <= block_bytes
  );
  std::copy_n(block.begin(), out.size(), out.begin());
  OPENSSL_cleanse(block.data(), block.size());
}

// An expanded key, of whichever connection used it last.
class RecordCipher::Context {
 public:
  EVP_CIPHER_CTX* get() const { return context_.get(); }

  bool has_key(std::uint64_t id) const { return id_ == id; }

  void set_key(const RecordCipher& owner, bool seals) {
    id_ = 0;
    // A context keeps what it has allocated as long as the cipher stays the same.
    const EVP_CIPHER* const cipher = &owner.suite_ == suite_ ? nullptr : cipher_of(owner.suite_);
    IOTCORE_CHECK(
        EVP_CipherInit_ex2(
            context_.get(), cipher, owner.key_.data(), nullptr, seals ? 1 : 0, nullptr
        ) == 1
    );
    suite_ = &owner.suite_;
    id_ = owner.id_;
  }

 private:
  std::unique_ptr<EVP_CIPHER_CTX, FreeWith<EVP_CIPHER_CTX_free>> context_{EVP_CIPHER_CTX_new()};
  const RecordSuite* suite_ = nullptr;
  std::uint64_t id_ = 0;
};

const RecordSuite* RecordCipher::find_suite(std::uint16_t number) {
  const auto* const found = std::find_if(
      kSuites.begin(), kSuites.end(), [number](const RecordSuite& s) { return s.number == number; }
  );
  return found == kSuites.end() ? nullptr : found;
}

RecordCipher::RecordCipher(
    const RecordSuite& suite, const TrafficSecret& secret, std::uint64_t sequence
)
    : suite_(suite), sequence_(sequence), secret_(secret) {
  IOTCORE_CHECK(secret.size == suite.hash_bytes);
  derive_key();
}

RecordCipher::~RecordCipher() {
  OPENSSL_cleanse(key_.data(), key_.size());
  OPENSSL_cleanse(iv_.data(), iv_.size());
}

void RecordCipher::derive_key() {
  static std::atomic<std::uint64_t> keys = 0;
  id_ = keys.fetch_add(1, std::memory_order_relaxed) + 1;
  hkdf_expand_label(suite_.hash, secret_, "key", std::span(key_).first(suite_.key_bytes));
  hkdf_expand_label(suite_.hash, secret_, "iv", iv_);
}

void RecordCipher::next_key() {
  TrafficSecret next;
  next.size = secret_.size;
  hkdf_expand_label(suite_.hash, secret_, "traffic upd", std::span(next.bytes).first(next.size));
  secret_ = next;
  sequence_ = 0;
  derive_key();
}

// The sequence number, exclusive-or the fixed part (RFC 8446 5.3).
std::array<std::uint8_t, RecordCipher::kIvBytes> RecordCipher::next_nonce() {
  std::array<std::uint8_t, kIvBytes> nonce = iv_;
  const std::uint64_t number = sequence_++;
  IOTCORE_CHECK(sequence_ != 0);
  for (std::size_t i = 0; i < sizeof(number); ++i) {
    nonce[kIvBytes - 1 - i] ^= static_cast<std::uint8_t>(number >> (8 * i));
  }
  return nonce;
}

RecordCipher::Context& RecordCipher::context(bool seals) {
  thread_local std::array<Context, 2> of_thread;
  Context& context = of_thread[seals ? 1 : 0];
  if (!context.has_key(id_)) {
    context.set_key(*this, seals);
  }
  return context;
}

char* RecordCipher::seal(char* out, RecordType type, std::string_view plain) {
  IOTCORE_CHECK(plain.size() <= kPlainBytesMax);
  const std::size_t sealed_bytes = plain.size() + 1 + kTagBytes;
  auto* const header = reinterpret_cast<std::uint8_t*>(out);
  header[0] = static_cast<std::uint8_t>(RecordType::kApplicationData);
  header[1] = 3;
  header[2] = 3;
  header[3] = static_cast<std::uint8_t>(sealed_bytes >> 8U);
  header[4] = static_cast<std::uint8_t>(sealed_bytes);
  std::uint8_t* const body = header + kHeaderBytes;
  const auto inner_type = static_cast<std::uint8_t>(type);
  const auto nonce = next_nonce();
  EVP_CIPHER_CTX* const cipher = context(true).get();
  int n = 0;
  const bool done = EVP_CipherInit_ex2(cipher, nullptr, nullptr, nonce.data(), 1, nullptr) == 1 &&
                    EVP_CipherUpdate(cipher, nullptr, &n, header, as_int(kHeaderBytes)) == 1 &&
                    (plain.empty() || EVP_CipherUpdate(
                                          cipher,
                                          body,
                                          &n,
                                          reinterpret_cast<const unsigned char*>(plain.data()),
                                          as_int(plain.size())
                                      ) == 1) &&
                    EVP_CipherUpdate(cipher, body + plain.size(), &n, &inner_type, 1) == 1 &&
                    EVP_CipherFinal_ex(cipher, body + plain.size() + 1, &n) == 1 &&
                    EVP_CIPHER_CTX_ctrl(
                        cipher, EVP_CTRL_AEAD_GET_TAG, as_int(kTagBytes), body + plain.size() + 1
                    ) == 1;
  IOTCORE_CHECK(done);
  return out + kHeaderBytes + sealed_bytes;
}

RecordCipher::Opened RecordCipher::open(std::span<char> record) {
  if (record.size() < kOverheadBytes) {
    return {};
  }
  auto* const header = reinterpret_cast<std::uint8_t*>(record.data());
  std::uint8_t* const body = header + kHeaderBytes;
  std::size_t size = record.size() - kHeaderBytes - kTagBytes;
  const auto nonce = next_nonce();
  EVP_CIPHER_CTX* const cipher = context(false).get();
  int n = 0;
  const bool done =
      EVP_CipherInit_ex2(cipher, nullptr, nullptr, nonce.data(), 0, nullptr) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, as_int(kTagBytes), body + size) == 1 &&
      EVP_CipherUpdate(cipher, nullptr, &n, header, as_int(kHeaderBytes)) == 1 &&
      EVP_CipherUpdate(cipher, body, &n, body, as_int(size)) == 1 &&
      EVP_CipherFinal_ex(cipher, body + size, &n) == 1;
  if (!done) {
    return {};
  }
  // The type is the last byte that is not padding (5.4).
  while (size > 0 && body[size - 1] == 0) {
    --size;
  }
  if (size == 0) {
    return {.ok = true, .type = RecordType{0}, .bytes = 0};
  }
  return {.ok = true, .type = static_cast<RecordType>(body[size - 1]), .bytes = size - 1};
}

}  // namespace iotcore::net
