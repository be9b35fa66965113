#include "rules/actions/append_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace iotcore::rules::actions {
namespace {

constexpr std::size_t kTailBytes = 64U << 10;

tl::unexpected<Error> io_error(const std::filesystem::path& path, std::string_view what) {
  return fail(
      errno == ENOSPC ? Errc::kStoreFull : Errc::kStoreIo,
      fmt::format("{} {}: {}", what, path.string(), std::strerror(errno))
  );
}

void sync_folder(const std::filesystem::path& folder) {
  const int descriptor =
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor >= 0) {
    ::fsync(descriptor);
    ::close(descriptor);
  }
}

}  // namespace

void AppendFile::close() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
  descriptor_ = -1;
}

Result<bool> AppendFile::ensure_open(bool lines) {
  struct stat info = {};
  if (descriptor_ >= 0) {
    if (::stat(path_.c_str(), &info) == 0 && info.st_ino == inode_) {
      return false;
    }
    close();  // somebody has moved it away
  }
  std::error_code ignored;  // opening says what is wrong
  std::filesystem::create_directories(path_.parent_path(), ignored);
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0 || ::fstat(descriptor_, &info) != 0) {
    const auto error = io_error(path_, "cannot open");
    close();
    return error;
  }
  inode_ = info.st_ino;
  size_ = static_cast<std::uint64_t>(info.st_size);
  if (size_ == 0) {
    sync_folder(path_.parent_path());
  }
  if (lines) {
    if (const Status ready = drop_torn_line(); !ready) {
      close();
      return fail(ready.error());
    }
  }
  return true;
}

Status AppendFile::drop_torn_line() {
  std::string tail;
  std::uint64_t end = size_;
  while (end > 0) {
    const std::uint64_t from = end > kTailBytes ? end - kTailBytes : 0;
    tail.resize(end - from);
    if (::pread(descriptor_, tail.data(), tail.size(), static_cast<off_t>(from)) !=
        static_cast<ssize_t>(tail.size())) {
      return io_error(path_, "cannot read");
    }
    const std::size_t newline = tail.rfind('\n');
    if (newline != std::string::npos) {
      end = from + newline + 1;
      break;
    }
    end = from;
  }
  if (end != size_) {
    if (::ftruncate(descriptor_, static_cast<off_t>(end)) != 0) {
      return io_error(path_, "cannot truncate");
    }
    size_ = end;
  }
  return {};
}

Result<std::string> AppendFile::head(std::size_t bytes_max) const {
  std::string head(std::min<std::uint64_t>(size_, bytes_max), '\0');
  if (::pread(descriptor_, head.data(), head.size(), 0) != static_cast<ssize_t>(head.size())) {
    return io_error(path_, "cannot read");
  }
  return head;
}

Status AppendFile::append(std::string_view bytes) {
  std::size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t n = ::pwrite(
        descriptor_,
        bytes.data() + written,
        bytes.size() - written,
        static_cast<off_t>(size_ + written)
    );
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      break;
    }
    written += static_cast<std::size_t>(n);
  }
  if (written == bytes.size() && ::fdatasync(descriptor_) == 0) {
    size_ += bytes.size();
    return {};
  }
  auto error = io_error(path_, written == bytes.size() ? "cannot sync" : "cannot write");
  // What came through in part is cut off again, so that trying again repeats nothing; else the next one who opens it does.
  static_cast<void>(::ftruncate(descriptor_, static_cast<off_t>(size_)));
  close();
  return error;
}

Status AppendFile::move_to(const std::filesystem::path& to) {
  if (::rename(path_.c_str(), to.c_str()) != 0) {
    return io_error(path_, "cannot rename");
  }
  close();
  sync_folder(path_.parent_path());
  return {};
}

}  // namespace iotcore::rules::actions
