#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "store/store.h"

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::registry {

// The keys with which operators sign their requests. A signature can be checked only with the secret itself, so that it is stored sealed
// (base/crypto.h) under a key that stands in a file of its own, mode 600, beside the store. Thread-safe.
class AccessKeys {
 public:
  struct Key {
    std::string id;
    std::string secret;
    std::string user;
  };

  // Reads all of them, operators' keys being few. Makes sealing.key in `folder` if the store has no keys yet.
  static Result<std::unique_ptr<AccessKeys>> open(
      store::Store& store, const Clock& clock, const std::filesystem::path& folder
  );

  // Nothing for an id that is unknown or not active. Never blocks.
  std::optional<Key> find(std::string_view id) const;
  Result<Key> create(std::string_view user);
  // At the first start: makes the administrator's key and writes it to `credentials_file`, in the form of AWS's shared credentials. Nothing if there
  // is one already.
  Result<std::optional<Key>> ensure_administrator(
      const std::filesystem::path& credentials_file, std::string_view region
  );

 private:
  AccessKeys(store::Store& store, const Clock& clock, std::string sealing_key)
      : store_(store), clock_(clock), sealing_key_(std::move(sealing_key)) {}

  Status load(const std::vector<store::Entry>& rows);
  Status keep(const Key& key);

  store::Store& store_;
  const Clock& clock_;
  const std::string sealing_key_;
  mutable std::mutex mutex_;
  std::map<std::string, Key, std::less<>> keys_;
};

}  // namespace iotcore::registry
