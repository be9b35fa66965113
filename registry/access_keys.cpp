#include "registry/access_keys.h"

#include "base/crypto.h"
#include "base/files.h"
#include "registry/arn.h"
#include "registry/keys.h"
#include "registry/page.h"
#include "registry/rows.h"

#include <algorithm>

namespace iotcore::registry {
namespace {

constexpr std::string_view kAdministrator = "admin";
// More rows are not read, whatever the limit was when they were written.
constexpr std::size_t kRowsMax = 100'000;
constexpr std::size_t kPoliciesOfUserMax = 1000;

}  // namespace

std::string AccessKeys::new_id(std::string_view kind) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string id(kind);
  for (const char byte : random_bytes(16)) {
    id.push_back(kAlphabet[static_cast<unsigned char>(byte) % 32]);
  }
  return id;
}

// 40 characters, 240 random bits.
std::string AccessKeys::new_secret() {
  return to_base64(random_bytes(30));
}

Result<bool> AccessKeys::any(store::Store& store) {
  return has_any(store, keys::kSystem, keys::access_keys());
}

Result<std::unique_ptr<AccessKeys>> AccessKeys::open(
    store::Store& store, const Clock& clock, const pki::SealingKey& sealing_key
) {
  std::unique_ptr<AccessKeys> opened(new AccessKeys(store, clock, sealing_key));
  IOTCORE_TRY(opened->load());
  IOTCORE_TRY(opened->load_users());
  return opened;
}

Status AccessKeys::load() {
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows,
      store_.scan(keys::kSystem, keys::access_keys(), {}, kRowsMax)
  );
  for (const store::Entry& row : rows) {
    IOTCORE_ASSIGN(const auto record, parse_record<record::AccessKey>(row.value));
    const std::string id = segment_of(row.key, 0);
    std::optional<std::string> secret = sealing_key_.unseal(record.sealed_secret(), id);
    if (!secret) {
      return fail(
          Errc::kStoreCorrupt,
          "access key " + id +
              " was not sealed with this sealing key; restore its file from a backup"
      );
    }
    keys_[id] = {id, *std::move(secret), record.user(), record.active(), record.created_ms()};
  }
  return {};
}

Status AccessKeys::load_users() {
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows, store_.scan(keys::kSystem, keys::users(), {}, kRowsMax)
  );
  for (const store::Entry& row : rows) {
    IOTCORE_ASSIGN(const auto record, parse_record<record::User>(row.value));
    users_[segment_of(row.key, 0)] = record.role();
  }
  // Before there were users, every key was an administrator's.
  store::Batch batch;
  for (const auto& [id, key] : keys_) {
    if (users_.try_emplace(key.user, record::User::ADMINISTRATOR).second) {
      record::User user;
      user.set_role(record::User::ADMINISTRATOR);
      user.set_created_ms(key.created_ms);
      batch.put(keys::kSystem, keys::user(key.user), to_row(user));
    }
  }
  return batch.empty() ? Status() : commit(store_, std::move(batch));
}

std::optional<AccessKeys::Key> AccessKeys::find_any(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto found = keys_.find(id);
  return found == keys_.end() ? std::nullopt : std::optional<Key>(found->second);
}

std::optional<AccessKeys::Key> AccessKeys::find(std::string_view id) const {
  std::optional<Key> found = find_any(id);
  return found && found->active ? found : std::nullopt;
}

std::optional<AccessKeys::Role> AccessKeys::role_of(std::string_view user) const {
  const std::lock_guard lock(mutex_);
  const auto found = users_.find(user);
  return found == users_.end() ? std::nullopt : std::optional<Role>(found->second);
}

std::vector<AccessKeys::Key> AccessKeys::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<Key> out;
  for (const auto& [id, key] : keys_) {
    out.push_back(key);
    out.back().secret.clear();
  }
  return out;
}

record::AccessKey AccessKeys::record_of(const Key& key) const {
  record::AccessKey record;
  record.set_sealed_secret(sealing_key_.seal(key.secret, key.id));
  record.set_user(key.user);
  record.set_active(key.active);
  record.set_created_ms(key.created_ms);
  return record;
}

Status AccessKeys::keep(const Key& key, std::optional<Role> new_user) {
  store::Batch batch;
  batch.expect_absent(keys::kSystem, keys::access_key(key.id));
  batch.put(keys::kSystem, keys::access_key(key.id), to_row(record_of(key)));
  if (new_user) {
    record::User user;
    user.set_role(*new_user);
    user.set_created_ms(key.created_ms);
    batch.put(keys::kSystem, keys::user(key.user), to_row(user));
  }
  IOTCORE_TRY(commit(store_, std::move(batch)));
  const std::lock_guard lock(mutex_);
  if (new_user) {
    users_[key.user] = *new_user;
  }
  keys_[key.id] = key;
  return {};
}

Result<AccessKeys::Key> AccessKeys::create(std::string_view user, std::optional<Role> role) {
  if (!is_iam_name(user)) {
    return fail(
        Errc::kInvalidRequest,
        "A user's name has 1 to 64 of the characters A-Z a-z 0-9 _ + = , . @ -"
    );
  }
  const std::lock_guard writing(writing_);
  const std::optional<Role> present = role_of(user);
  if (present && role && *present != *role) {
    return fail(
        Errc::kInvalidRequest,
        "User " + std::string(user) + " has the role " + record::User::Role_Name(*present)
    );
  }
  const Limits limits;
  {
    const std::lock_guard lock(mutex_);
    const auto of_user = std::count_if(keys_.begin(), keys_.end(), [user](const auto& entry) {
      return entry.second.user == user;
    });
    if (keys_.size() >= limits.keys_max ||
        static_cast<std::size_t>(of_user) >= limits.keys_per_user_max) {
      return fail(
          Errc::kLimitExceeded,
          "At most " + std::to_string(limits.keys_per_user_max) + " access keys for one user and " +
              std::to_string(limits.keys_max) + " in all"
      );
    }
  }
  const Key key = {
      new_id("AKIA"), new_secret(), std::string(user), true, to_epoch_ms(clock_.wall())};
  const std::optional<Role> new_user =
      present ? std::nullopt : std::optional<Role>(role.value_or(record::User::NONE));
  IOTCORE_TRY(keep(key, new_user));
  return key;
}

bool AccessKeys::is_last_way_in(const Key& key) const {
  const std::lock_guard lock(mutex_);
  const auto opens = [this](const Key& one) {
    const auto user = users_.find(one.user);
    return one.active && user != users_.end() && user->second == record::User::ADMINISTRATOR;
  };
  return opens(key) && std::none_of(keys_.begin(), keys_.end(), [&](const auto& entry) {
           return entry.first != key.id && opens(entry.second);
         });
}

namespace {

tl::unexpected<Error> no_key(std::string_view id) {
  return fail(Errc::kNotFound, "Access key " + std::string(id) + " does not exist");
}

tl::unexpected<Error> last_way_in() {
  return fail(
      Errc::kDeleteConflict,
      "This is the last active key of an administrator: make another one first"
  );
}

}  // namespace

Status AccessKeys::set_active(std::string_view id, bool active) {
  const std::lock_guard writing(writing_);
  std::optional<Key> key = find_any(id);
  if (!key) {
    return no_key(id);
  }
  if (!active && is_last_way_in(*key)) {
    return last_way_in();
  }
  key->active = active;
  store::Batch batch;
  batch.put(keys::kSystem, keys::access_key(id), to_row(record_of(*key)));
  IOTCORE_TRY(commit(store_, std::move(batch)));
  {
    const std::lock_guard lock(mutex_);
    keys_[key->id] = *key;
  }
  if (!active && withdrawn_) {
    withdrawn_(key->id);
  }
  return {};
}

Status AccessKeys::remove(std::string_view id) {
  const std::lock_guard writing(writing_);
  const std::optional<Key> key = find_any(id);
  if (!key) {
    return no_key(id);
  }
  if (is_last_way_in(*key)) {
    return last_way_in();
  }
  const std::vector<Key> all = list();
  const bool last_of_user = std::none_of(all.begin(), all.end(), [&key](const Key& other) {
    return other.id != key->id && other.user == key->user;
  });
  store::Batch batch;
  batch.erase(keys::kSystem, keys::access_key(id));
  if (last_of_user) {
    const std::string resource = user_resource(key->user);
    batch.erase(keys::kSystem, keys::user(key->user));
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> attached,
        store_.scan(keys::kPrincipals, keys::policies_of_target(resource), {}, kPoliciesOfUserMax)
    );
    for (const store::Entry& row : attached) {
      batch.erase(keys::kPrincipals, row.key);
      batch.erase(
          keys::kPrincipals, keys::targets_of_policy(segment_of(row.key, 1)).text(resource)
      );
    }
  }
  IOTCORE_TRY(commit(store_, std::move(batch)));
  {
    const std::lock_guard lock(mutex_);
    keys_.erase(key->id);
    if (last_of_user) {
      users_.erase(key->user);
    }
  }
  if (withdrawn_) {
    withdrawn_(key->id);
  }
  return {};
}

Result<std::optional<AccessKeys::Key>> AccessKeys::ensure_administrator(
    const std::filesystem::path& credentials_file, std::string_view region
) {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, key] : keys_) {
      const auto user = users_.find(key.user);
      if (key.active && user != users_.end() && user->second == record::User::ADMINISTRATOR) {
        return std::nullopt;
      }
    }
  }
  const Key key = {
      new_id("AKIA"), new_secret(), std::string(kAdministrator), true, to_epoch_ms(clock_.wall())};
  // The file first: a crash in between leaves a file without a key, which the next start replaces, and not a key whose secret nobody knows.
  const std::string text = "[default]\naws_access_key_id = " + key.id +
                           "\naws_secret_access_key = " + key.secret +
                           "\nregion = " + std::string(region) + "\n";
  IOTCORE_TRY(write_file(credentials_file, text, FileMode::kPrivate));
  IOTCORE_TRY(keep(key, record::User::ADMINISTRATOR));
  return key;
}

}  // namespace iotcore::registry
