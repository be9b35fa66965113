#pragma once

#include "base/result.h"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::registry::pki {

// What derive() is asked for to encrypt the CA's private key.
inline constexpr std::string_view kCaKeyPurpose = "ca.key";

// The one key under which this installation's secrets are kept: operators' secrets in the store, session tokens, the CA's private key. It stands in a file
// of its own, mode 600, which may lie outside of the data folder; or it is made from a passphrase, and the file holds the salt only.
// Immutable; any thread.
class SealingKey {
 public:
  struct Source {
    std::filesystem::path file;
    std::string passphrase;  // empty: none
  };

  // Makes the file if there is none and `may_create`; kNotFound if not. kInvalidRequest if the passphrase is wrong, missing or in vain.
  static Result<SealingKey> open(const Source& source, bool may_create);

  // base/crypto.h.
  std::string seal(std::string_view secret, std::string_view context) const;
  std::optional<std::string> unseal(std::string_view sealed, std::string_view context) const;

  // A passphrase of its own for another use, in hex.
  std::string derive(std::string_view purpose) const;

 private:
  explicit SealingKey(std::string key) : key_(std::move(key)) {}

  std::string key_;
};

}  // namespace iotcore::registry::pki
