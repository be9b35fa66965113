#include "registry/access_keys.h"

#include "base/crypto.h"
#include "base/files.h"
#include "proto/record/principals.pb.h"
#include "registry/keys.h"
#include "registry/page.h"
#include "registry/rows.h"

namespace iotcore::registry {
namespace {

constexpr std::string_view kAdministrator = "admin";
constexpr std::size_t kKeysMax = 10000;

// AWS's form of a long-term key's id.
std::string new_id() {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string id = "AKIA";
  for (const char byte : random_bytes(16)) {
    id.push_back(kAlphabet[static_cast<unsigned char>(byte) % 32]);
  }
  return id;
}

// 40 characters, 240 random bits.
std::string new_secret() {
  return to_base64(random_bytes(30));
}

Result<std::string> read_sealing_key(const std::filesystem::path& path, bool may_create) {
  auto found = read_file(path);
  if (found) {
    if (found->size() != kSealKeyBytes) {
      return fail(
          Errc::kStoreCorrupt,
          path.string() + " must hold " + std::to_string(kSealKeyBytes) +
              " bytes; restore it from a backup"
      );
    }
    return found;
  }
  if (found.error().code() != Errc::kNotFound || !may_create) {
    return found;
  }
  std::string made = random_bytes(kSealKeyBytes);
  IOTCORE_TRY(write_file(path, made, FileMode::kPrivate));
  return made;
}

}  // namespace

Result<std::unique_ptr<AccessKeys>> AccessKeys::open(
    store::Store& store, const Clock& clock, const std::filesystem::path& folder
) {
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows,
      store.scan(keys::kSystem, keys::access_keys(), {}, kKeysMax)
  );
  IOTCORE_ASSIGN(std::string sealing_key, read_sealing_key(folder / "sealing.key", rows.empty()));
  std::unique_ptr<AccessKeys> opened(new AccessKeys(store, clock, std::move(sealing_key)));
  IOTCORE_TRY(opened->load(rows));
  return opened;
}

Status AccessKeys::load(const std::vector<store::Entry>& rows) {
  for (const store::Entry& row : rows) {
    IOTCORE_ASSIGN(const auto record, parse_record<record::AccessKey>(row.value));
    const std::string id = segment_of(row.key, 0);
    if (!record.active()) {
      continue;
    }
    std::optional<std::string> secret = unseal(sealing_key_, record.sealed_secret(), id);
    if (!secret) {
      return fail(
          Errc::kStoreCorrupt,
          "access key " + id + " was not sealed with sealing.key; restore that file from a backup"
      );
    }
    keys_[id] = Key{id, *std::move(secret), record.user()};
  }
  return {};
}

std::optional<AccessKeys::Key> AccessKeys::find(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto found = keys_.find(id);
  return found == keys_.end() ? std::nullopt : std::optional<Key>(found->second);
}

Status AccessKeys::keep(const Key& key) {
  record::AccessKey record;
  record.set_sealed_secret(seal(sealing_key_, key.secret, key.id));
  record.set_user(key.user);
  record.set_active(true);
  record.set_created_ms(to_epoch_ms(clock_.wall()));
  store::Batch batch;
  batch.expect_absent(keys::kSystem, keys::access_key(key.id));
  batch.put(keys::kSystem, keys::access_key(key.id), to_row(record));
  IOTCORE_TRY(commit(store_, std::move(batch)));
  const std::lock_guard lock(mutex_);
  keys_[key.id] = key;
  return {};
}

Result<AccessKeys::Key> AccessKeys::create(std::string_view user) {
  const Key key = {new_id(), new_secret(), std::string(user)};
  IOTCORE_TRY(keep(key));
  return key;
}

Result<std::optional<AccessKeys::Key>> AccessKeys::ensure_administrator(
    const std::filesystem::path& credentials_file, std::string_view region
) {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, key] : keys_) {
      if (key.user == kAdministrator) {
        return std::nullopt;
      }
    }
  }
  const Key key = {new_id(), new_secret(), std::string(kAdministrator)};
  // The file first: a crash in between leaves a file without a key, which the next start replaces, and not a key whose secret nobody knows.
  const std::string text = "[default]\naws_access_key_id = " + key.id +
                           "\naws_secret_access_key = " + key.secret +
                           "\nregion = " + std::string(region) + "\n";
  IOTCORE_TRY(write_file(credentials_file, text, FileMode::kPrivate));
  IOTCORE_TRY(keep(key));
  return key;
}

}  // namespace iotcore::registry
