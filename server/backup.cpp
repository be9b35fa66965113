#include "server/backup.h"

#include "base/files.h"
#include "base/json.h"
#include "base/log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <memory>
#include <unistd.h>

namespace iotcore::server {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kManifest = "backup.json";
constexpr std::string_view kPartial = ".partial";
constexpr int kFormat = 1;
// Of the data folder, what belongs to the process and not to the data, and what the store copies itself.
constexpr std::array<std::string_view, 4> kLeftOut = {"lock", "server.json", "store", "backups"};
constexpr std::array<std::string_view, 3> kSqliteSidecars = {"-wal", "-shm", "-journal"};

Error failed(std::string_view doing, const fs::path& path, std::string_view why) {
  return {Errc::kStoreIo, fmt::format("backup: {} {}: {}", doing, path.native(), why)};
}

bool is_valid_name(std::string_view name) {
  constexpr std::size_t kLongest = 128;
  return !name.empty() && name.size() <= kLongest && name.front() != '.' &&
         !name.ends_with(kPartial) &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
         ) == std::string_view::npos;
}

Status sync_path(const fs::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0 || ::fsync(fd) != 0) {
    const int error = errno;
    if (fd >= 0) {
      ::close(fd);
    }
    return fail(failed("syncing", path, std::strerror(error)));
  }
  ::close(fd);
  return {};
}

bool is_sqlite(const fs::path& file) {
  constexpr std::string_view kMagic = "SQLite format 3";
  std::array<char, kMagic.size()> head = {};
  std::ifstream in(file, std::ios::binary);
  in.read(head.data(), head.size());
  return in && std::string_view(head.data(), head.size()) == kMagic;
}

bool is_sidecar(const fs::path& file) {
  const std::string name = file.filename().native();
  return std::ranges::any_of(kSqliteSidecars, [&](std::string_view ending) {
    return name.ends_with(ending) &&
           is_sqlite(file.parent_path() / name.substr(0, name.size() - ending.size()));
  });
}

// Of a database that others write meanwhile: as of one of its commits.
Status copy_sqlite(const fs::path& from, const fs::path& to) {
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close(database); }
  };

  sqlite3* opened = nullptr;
  const int error = sqlite3_open_v2(from.c_str(), &opened, SQLITE_OPEN_READONLY, nullptr);
  const std::unique_ptr<sqlite3, Close> database(opened);
  if (error != SQLITE_OK) {
    return fail(failed("opening", from, sqlite3_errmsg(opened)));
  }
  constexpr int kPatienceMs = 10'000;
  sqlite3_busy_timeout(opened, kPatienceMs);
  std::unique_ptr<char, void (*)(void*)> statement(
      sqlite3_mprintf("VACUUM INTO %Q", to.c_str()), &sqlite3_free
  );
  if (sqlite3_exec(opened, statement.get(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return fail(failed("copying", from, sqlite3_errmsg(opened)));
  }
  return {};
}

Status copy_one(const fs::path& from, const fs::path& to) {
  if (is_sqlite(from)) {
    IOTCORE_TRY(copy_sqlite(from, to));
  } else {
    std::error_code error;
    fs::copy_file(from, to, error);
    if (error == std::errc::no_such_file_or_directory) {
      return {};  // gone meanwhile: rotated, or a temporary one
    }
    if (error) {
      return fail(failed("copying", from, error.message()));
    }
  }
  return sync_path(to, O_RDONLY);
}

// What `skip` does not hold at the first level, and everything below but the folder `never`, which may lie anywhere.
Status copy_tree(
    const fs::path& from,
    const fs::path& to,
    std::span<const std::string_view> skip,
    const fs::path& never
) {
  std::error_code error;
  fs::create_directories(to, error);
  fs::permissions(to, fs::perms::owner_all, error);
  for (fs::directory_iterator entry(from, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().native();
    if (std::ranges::find(skip, name) != skip.end() || is_sidecar(entry->path())) {
      continue;
    }
    std::error_code gone;
    if (entry->is_directory(gone)) {
      if (!fs::equivalent(entry->path(), never, gone)) {
        IOTCORE_TRY(copy_tree(entry->path(), to / name, {}, never));
      }
    } else if (entry->is_regular_file(gone)) {
      IOTCORE_TRY(copy_one(entry->path(), to / name));
    }
  }
  if (error) {
    return fail(failed("reading", from, error.message()));
  }
  return sync_path(to, O_RDONLY | O_DIRECTORY);
}

std::uint64_t size_of(const fs::path& folder) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code gone;
    if (entry->is_regular_file(gone)) {
      const std::uintmax_t size = entry->file_size(gone);
      bytes += gone ? 0 : size;
    }
  }
  return bytes;
}

Result<Backup> read_manifest(const fs::path& folder) {
  IOTCORE_ASSIGN(const std::string text, read_file(folder / kManifest));
  IOTCORE_ASSIGN(const json::value manifest, parse_json(text));
  const auto number = [&](std::string_view name) -> std::int64_t {
    const json::value* found =
        manifest.is_object() ? find_member(manifest.get_object(), name) : nullptr;
    return found != nullptr && found->is_int64() ? found->get_int64() : 0;
  };
  if (number("format") != kFormat) {
    return fail(
        Errc::kInvalidRequest,
        fmt::format("{} is not a backup of this version of the server", folder.native())
    );
  }
  Backup backup;
  backup.name = folder.filename().native();
  backup.path = folder;
  backup.created_ms = number("createdMs");
  backup.bytes = static_cast<std::uint64_t>(number("bytes"));
  return backup;
}

Status write_manifest(const fs::path& folder, const Backup& backup) {
  json::object manifest;
  manifest["format"] = kFormat;
  manifest["createdMs"] = backup.created_ms;
  manifest["bytes"] = static_cast<std::int64_t>(backup.bytes);
  return write_file(folder / kManifest, to_json(manifest) + "\n", FileMode::kPrivate);
}

Status move_into_place(const fs::path& made, const fs::path& place) {
  std::error_code error;
  fs::rename(made, place, error);
  if (error) {
    return fail(failed("naming", place, error.message()));
  }
  return sync_path(place.parent_path(), O_RDONLY | O_DIRECTORY);
}

void remove_tree(const fs::path& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) {
    log(LogLevel::kWarn,
        "backup.remove_failed",
        {{"path", folder.native()}, {"error", error.message()}});
  }
}

bool is_empty_or_absent(const fs::path& folder) {
  std::error_code error;
  return !fs::exists(folder, error) ||
         (fs::is_directory(folder, error) && fs::is_empty(folder, error));
}

}  // namespace

Backups::Backups(fs::path data_dir, fs::path folder, store::Store& store, const Clock& clock)
    : data_dir_(std::move(data_dir)), folder_(std::move(folder)), store_(store), clock_(clock) {}

Result<Backup> Backups::create(const std::optional<std::string>& name) {
  Backup backup;
  backup.created_ms = to_epoch_ms(clock_.wall());
  backup.name = name ? *name
                     : fmt::format(
                           "{:%Y%m%dT%H%M%SZ}",
                           fmt::gmtime(static_cast<std::time_t>(backup.created_ms / 1000))
                       );
  if (!is_valid_name(backup.name)) {
    return fail(
        Errc::kInvalidRequest,
        "backupName: 1 to 128 letters, digits, '.', '_' and '-', not beginning with '.' nor ending "
        "in .partial"
    );
  }
  const std::lock_guard lock(mutex_);
  backup.path = folder_ / backup.name;
  std::error_code error;
  if (fs::exists(backup.path, error)) {
    return fail(Errc::kAlreadyExists, fmt::format("There is a backup {} already", backup.name));
  }
  fs::create_directories(folder_, error);
  const fs::path partial = backup.path.native() + std::string(kPartial);
  remove_tree(partial);
  // The store last: what a file refers to is in it by then.
  const auto copy = [&]() -> Status {
    IOTCORE_TRY(copy_tree(data_dir_, partial, kLeftOut, folder_));
    IOTCORE_TRY(store_.checkpoint(partial / "store"));
    backup.bytes = size_of(partial);
    IOTCORE_TRY(write_manifest(partial, backup));
    IOTCORE_TRY(sync_path(partial, O_RDONLY | O_DIRECTORY));
    return move_into_place(partial, backup.path);
  };
  if (Status copied = copy(); !copied) {
    remove_tree(partial);
    return fail(std::move(copied).error());
  }
  log(LogLevel::kInfo,
      "backup.made",
      {{"path", backup.path.native()}, {"bytes", std::to_string(backup.bytes)}});
  return backup;
}

Result<std::vector<Backup>> Backups::list() const {
  std::vector<Backup> all;
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    Result<Backup> backup = read_manifest(entry->path());
    if (backup && !backup->name.ends_with(kPartial)) {
      all.push_back(*std::move(backup));
    }
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail(failed("reading", folder_, error.message()));
  }
  std::ranges::sort(all, {}, &Backup::name);
  return all;
}

Status Backups::remove(const std::string& name) {
  const std::lock_guard lock(mutex_);
  if (!is_valid_name(name) || !read_manifest(folder_ / name)) {
    return fail(Errc::kNotFound, fmt::format("There is no backup {}", name));
  }
  // Out of the list at once; a rest that a crash leaves is no backup.
  const fs::path gone = (folder_ / name).native() + std::string(kPartial);
  remove_tree(gone);
  IOTCORE_TRY(move_into_place(folder_ / name, gone));
  remove_tree(gone);
  return {};
}

Status restore_backup(const fs::path& backup, const fs::path& data_dir) {
  IOTCORE_TRY(read_manifest(backup));
  if (!is_empty_or_absent(data_dir)) {
    return fail(
        Errc::kConflict,
        fmt::format(
            "{} is not empty: restore into a new folder, or move that one away", data_dir.native()
        )
    );
  }
  std::error_code error;
  const fs::path whole = fs::absolute(data_dir, error).lexically_normal();
  const fs::path place = whole.has_filename() ? whole : whole.parent_path();
  const fs::path partial = place.native() + std::string(kPartial);
  remove_tree(partial);
  fs::create_directories(place.parent_path(), error);
  constexpr std::array<std::string_view, 1> kNotData = {kManifest};
  Status copied = copy_tree(backup, partial, kNotData, {});
  if (copied) {
    fs::remove(place, error);  // empty
    copied = move_into_place(partial, place);
  }
  if (!copied) {
    remove_tree(partial);
  }
  return copied;
}

}  // namespace iotcore::server
