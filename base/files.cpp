#include "base/files.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace iotcore {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}

  ~Descriptor() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }

  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }

  bool close() { return ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

tl::unexpected<Error> io_error(std::string_view what, const std::filesystem::path& path) {
  const int number = errno;
  const Errc code = number == ENOENT   ? Errc::kNotFound
                    : number == ENOSPC ? Errc::kStoreFull
                                       : Errc::kStoreIo;
  return fail(code, std::string(what) + " " + path.string() + ": " + std::strerror(number));
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

Status sync_folder(const std::filesystem::path& folder) {
  const Descriptor dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir.get() < 0 || ::fsync(dir.get()) != 0) {
    return io_error("cannot sync", folder);
  }
  return {};
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) {
    return io_error("cannot open", path);
  }
  std::string out;
  char chunk[16384];
  while (true) {
    const ssize_t n = ::read(file.get(), chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return io_error("cannot read", path);
    }
    if (n == 0) {
      return out;
    }
    out.append(chunk, static_cast<std::size_t>(n));
    if (out.size() > bytes_max) {
      return fail(
          Errc::kTooLarge, path.string() + " is over " + std::to_string(bytes_max) + " bytes"
      );
    }
  }
}

Status write_file(const std::filesystem::path& path, std::string_view bytes, FileMode mode) {
  std::string beside = path.string() + ".XXXXXX";
  Descriptor file(::mkostemp(beside.data(), O_CLOEXEC));  // created with mode 600
  if (file.get() < 0) {
    return io_error("cannot create", beside);
  }
  const bool written =
      write_all(file.get(), bytes) && ::fchmod(file.get(), static_cast<mode_t>(mode)) == 0 &&
      ::fsync(file.get()) == 0 && file.close() && ::rename(beside.c_str(), path.c_str()) == 0;
  if (!written) {
    auto error = io_error("cannot write", path);
    ::unlink(beside.c_str());
    return error;
  }
  const std::filesystem::path folder = path.parent_path();
  return sync_folder(folder.empty() ? std::filesystem::path(".") : folder);
}

}  // namespace iotcore
