#pragma once

#include "base/clock.h"
#include "base/function.h"
#include "base/result.h"
#include "proto/record/principals.pb.h"
#include "registry/pki/sealing_key.h"
#include "store/store.h"

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry {

// The operators of this server and the keys with which they sign. A signature can be checked only with the secret itself, so that it is stored, sealed.
// What is asked for each request is in memory. Thread-safe; what writes blocks.
class AccessKeys {
 public:
  using Role = record::User::Role;

  struct Key {
    std::string id;
    std::string secret;
    std::string user;
    bool active = true;
    std::int64_t created_ms = 0;
  };

  struct Limits {
    std::size_t keys_max = 10'000;
    std::size_t keys_per_user_max = 10;
  };

  // Whether the store has keys: then their sealing key must not be made anew.
  static Result<bool> any(store::Store& store);
  // Reads all of them, operators' keys being few.
  static Result<std::unique_ptr<AccessKeys>> open(
      store::Store& store, const Clock& clock, const pki::SealingKey& sealing_key
  );

  // Nothing for an id that is unknown or not active. Never blocks.
  std::optional<Key> find(std::string_view id) const;
  // Nothing for one who is unknown. Never blocks.
  std::optional<Role> role_of(std::string_view user) const;
  // All, active or not, by id; without their secrets.
  std::vector<Key> list() const;

  // Makes the user, too, if there is none of that name; with the role NONE if none is said. kInvalidRequest if the user has another role, kLimitExceeded.
  Result<Key> create(std::string_view user, std::optional<Role> role);
  // These two: kNotFound; kDeleteConflict for the last key by which an administrator can get in.
  Status set_active(std::string_view id, bool active);
  // The user goes with the last key, and what is attached to it.
  Status remove(std::string_view id);

  // At the first start: makes the administrator's key and writes it to `credentials_file`, in the form of AWS's shared credentials. Nothing if there
  // is one already.
  Result<std::optional<Key>> ensure_administrator(
      const std::filesystem::path& credentials_file, std::string_view region
  );

  // Told the id of each key that is not in force any more, on the thread that withdrew it. Set before the first request.
  void on_withdrawn(Function<void(const std::string& id)> withdrawn) {
    withdrawn_ = std::move(withdrawn);
  }

  // AWS's forms of an id, with its first four letters, and of a secret.
  static std::string new_id(std::string_view kind);
  static std::string new_secret();

 private:
  AccessKeys(store::Store& store, const Clock& clock, const pki::SealingKey& sealing_key)
      : store_(store), clock_(clock), sealing_key_(sealing_key) {}

  Status load();
  Status load_users();
  Status keep(const Key& key, std::optional<Role> new_user);
  record::AccessKey record_of(const Key& key) const;
  // Of an active administrator, and no other is.
  bool is_last_way_in(const Key& key) const;
  std::optional<Key> find_any(std::string_view id) const;

  store::Store& store_;
  const Clock& clock_;
  const pki::SealingKey& sealing_key_;
  Function<void(const std::string&)> withdrawn_;
  std::mutex
      writing_;  // one change at a time: held over the commit, never with mutex_ waiting for it
  mutable std::mutex mutex_;
  std::map<std::string, Key, std::less<>> keys_;
  std::map<std::string, Role, std::less<>> users_;
};

}  // namespace iotcore::registry
