#include "server/data_dir.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace iotcore::server {

Result<DataDir> DataDir::open(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::absolute(path, error);
  std::filesystem::create_directories(whole, error);
  if (error) {
    return fail(
        Errc::kStoreIo, "data_dir: \"" + path.string() + "\" cannot be made: " + error.message()
    );
  }
  ::chmod(whole.c_str(), 0700);
  const std::filesystem::path lock_file = whole / "lock";
  const int lock = ::open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) {
    return fail(
        Errc::kStoreIo,
        "data_dir: \"" + path.string() + "\" cannot be written to: " + std::strerror(errno)
    );
  }
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock);
    return fail(
        Errc::kConflict,
        "data_dir: \"" + path.string() +
            "\" is in use by another process; stop it or name another folder"
    );
  }
  return DataDir(whole, lock);
}

DataDir::DataDir(DataDir&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

DataDir::~DataDir() {
  if (lock_ >= 0) {
    ::close(lock_);
  }
}

}  // namespace iotcore::server
