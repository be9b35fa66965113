#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "store/store.h"

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::server {

// A copy of the data folder as of one instant. A folder that can be moved anywhere; it holds the keys under which secrets are kept, unless they
// come from a passphrase or a file elsewhere.
struct Backup {
  std::string name;
  std::filesystem::path path;
  std::int64_t created_ms = 0;
  std::uint64_t bytes = 0;
};

// Makes copies of a running server's data folder in a folder beside. Any thread; calls block.
class Backups {
 public:
  // All outlive it. Copies go to `folder`, which is made with the first.
  Backups(
      std::filesystem::path data_dir,
      std::filesystem::path folder,
      store::Store& store,
      const Clock& clock
  );

  // Appears whole or not at all. Everything acknowledged before the call is in it. kAlreadyExists; kInvalidRequest for a bad name.
  Result<Backup> create(const std::optional<std::string>& name);
  // By name; folders that are no backups are passed over.
  Result<std::vector<Backup>> list() const;
  // kNotFound.
  Status remove(const std::string& name);

 private:
  const std::filesystem::path data_dir_;
  const std::filesystem::path folder_;
  store::Store& store_;
  const Clock& clock_;
  std::mutex mutex_;  // one at a time
};

// Makes a data folder of a backup. `data_dir` must not be there, or be empty; whatever goes wrong, it is whole or not there afterwards.
Status restore_backup(const std::filesystem::path& backup, const std::filesystem::path& data_dir);

}  // namespace iotcore::server
