#include "registry/pki/sealing_key.h"

#include "base/crypto.h"
#include "base/files.h"

#include <openssl/evp.h>

namespace iotcore::registry::pki {
namespace {

// "iotcore-passphrase-1 <salt> <proof>\n", both in hex.
constexpr std::string_view kPassphraseMark = "iotcore-passphrase-1 ";
constexpr std::size_t kSaltBytes = 16;

// scrypt with the parameters of its authors for files: 16 MiB and some tens of milliseconds.
Result<std::string> key_from(std::string_view passphrase, std::string_view salt) {
  std::string key(kSealKeyBytes, '\0');
  const int made = EVP_PBE_scrypt(
      passphrase.data(),
      passphrase.size(),
      reinterpret_cast<const unsigned char*>(salt.data()),
      salt.size(),
      1U << 14,
      8,
      1,
      64U << 20,
      reinterpret_cast<unsigned char*>(key.data()),
      key.size()
  );
  if (made != 1) {
    return fail(Errc::kInternal, "no key can be made from the passphrase");
  }
  return key;
}

std::string proof_of(std::string_view key) {
  return to_hex(as_text(hmac_sha256(key, "proof")));
}

Result<std::string> open_passphrase_file(
    std::string_view content, const SealingKey::Source& source
) {
  if (source.passphrase.empty()) {
    return fail(
        Errc::kInvalidRequest,
        source.file.string() + " was made with a passphrase: set IOTCORE_PASSPHRASE"
    );
  }
  const std::string_view rest = content.substr(kPassphraseMark.size());
  const std::size_t space = std::min(rest.find(' '), rest.size());
  const auto salt = from_hex(rest.substr(0, space));
  if (!salt || space + 66 != rest.size()) {
    return fail(
        Errc::kStoreCorrupt, source.file.string() + " is damaged; restore it from a backup"
    );
  }
  IOTCORE_ASSIGN(std::string key, key_from(source.passphrase, *salt));
  if (!equal_in_constant_time(proof_of(key), rest.substr(space + 1, 64))) {
    return fail(Errc::kInvalidRequest, "IOTCORE_PASSPHRASE is not the passphrase of this data");
  }
  return key;
}

Result<std::string> make(const SealingKey::Source& source) {
  std::string key = random_bytes(kSealKeyBytes);
  std::string content = key;
  if (!source.passphrase.empty()) {
    const std::string salt = random_bytes(kSaltBytes);
    IOTCORE_ASSIGN(key, key_from(source.passphrase, salt));
    content = std::string(kPassphraseMark) + to_hex(salt) + " " + proof_of(key) + "\n";
  }
  IOTCORE_TRY(write_file(source.file, content, FileMode::kPrivate));
  return key;
}

}  // namespace

Result<SealingKey> SealingKey::open(const Source& source, bool may_create) {
  const auto found = read_file(source.file);
  if (!found) {
    if (found.error().code() != Errc::kNotFound || !may_create) {
      return fail(found.error());
    }
    IOTCORE_ASSIGN(std::string made, make(source));
    return SealingKey(std::move(made));
  }
  if (found->starts_with(kPassphraseMark)) {
    IOTCORE_ASSIGN(std::string key, open_passphrase_file(*found, source));
    return SealingKey(std::move(key));
  }
  if (found->size() != kSealKeyBytes) {
    return fail(
        Errc::kStoreCorrupt,
        source.file.string() + " must hold " + std::to_string(kSealKeyBytes) +
            " bytes; restore it from a backup"
    );
  }
  if (!source.passphrase.empty()) {
    return fail(
        Errc::kInvalidRequest,
        source.file.string() + " was made without a passphrase: unset IOTCORE_PASSPHRASE"
    );
  }
  return SealingKey(*found);
}

std::string SealingKey::seal(std::string_view secret, std::string_view context) const {
  return iotcore::seal(key_, secret, context);
}

std::optional<std::string> SealingKey::unseal(std::string_view sealed, std::string_view context)
    const {
  return iotcore::unseal(key_, sealed, context);
}

std::string SealingKey::derive(std::string_view purpose) const {
  return to_hex(as_text(hmac_sha256(key_, purpose)));
}

}  // namespace iotcore::registry::pki
