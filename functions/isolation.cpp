#include "functions/isolation.h"

#include "functions/launcher.h"
#include "net/local_socket.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace iotcore::functions {
namespace {

// Where folders are put that the function could not see otherwise. There is one on every system, and it is covered for nobody but the function.
constexpr const char* kShown = "/mnt";

std::string why() {
  return std::strerror(errno);
}

Result<std::optional<UserId>> find_user(const std::string& name) {
  if (name.empty() || ::geteuid() != 0) {
    return std::optional<UserId>();
  }
  const passwd* found = ::getpwnam(name.c_str());
  if (found == nullptr) {
    return fail(
        Errc::kInvalidRequest,
        fmt::format("there is no user {} to run functions as (functions.user)", name)
    );
  }
  if (found->pw_uid == 0) {
    return std::optional<UserId>();
  }
  return std::optional(UserId{found->pw_uid, found->pw_gid});
}

bool write_text(const char* path, const std::string& text) {
  const net::UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Namespaces with what privileges there are; without any, in a user namespace where this user stays itself.
bool unshare_namespaces(bool network) {
  const int wanted = CLONE_NEWNS | (network ? 0 : CLONE_NEWNET);
  if (::unshare(wanted) == 0) {
    return true;
  }
  const std::uint32_t user = ::geteuid();
  const std::uint32_t group = ::getegid();
  return user != 0 && ::unshare(wanted | CLONE_NEWUSER) == 0 &&
         write_text("/proc/self/setgroups", "deny") &&
         write_text("/proc/self/uid_map", fmt::format("{0} {0} 1", user)) &&
         write_text("/proc/self/gid_map", fmt::format("{0} {0} 1", group));
}

bool is_within(const std::filesystem::path& path, const std::filesystem::path& folder) {
  const auto [end, ignored] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return end == folder.end();
}

// Whether everybody may enter all of the way there.
bool is_open_to_all(const std::filesystem::path& folder) {
  for (std::filesystem::path each = folder; each.has_relative_path(); each = each.parent_path()) {
    struct stat status = {};
    if (::stat(each.c_str(), &status) != 0 || (status.st_mode & S_IXOTH) == 0) {
      return false;
    }
  }
  return true;
}

bool mount_empty(const char* at) {
  return ::mount("none", at, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=64k") == 0;
}

// A folder that is to be shown elsewhere, held open while what covers it is put in place.
struct Shown {
  std::filesystem::path* path;
  const char* name;
  net::UniqueFd folder;
};

// Nothing is seen of the hidden folder, and what the function needs is where it can be seen.
class Folders {
 public:
  Folders(const Launch& launch, Place& place)
      : hidden_(place.user ? std::filesystem::path() : launch.hidden),
        has_own_user_(place.user.has_value()) {
    find(place.task_root, "task");
    find(place.runtimes, "runtime");
  }

  Status arrange() {
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      return fail(Errc::kUnavailable, "mounts: " + why());
    }
    if (!hidden_.empty() && !mount_empty(hidden_.c_str())) {
      return fail(Errc::kUnavailable, "hiding " + hidden_.string() + ": " + why());
    }
    if (shown_.empty()) {
      return {};
    }
    if (!mount_empty(kShown) || !show()) {
      const std::string reason = why();
      ::umount2(kShown, MNT_DETACH);
      if (!hidden_.empty()) {
        ::umount2(hidden_.c_str(), MNT_DETACH);
      }
      return fail(Errc::kUnavailable, "showing its folders: " + reason);
    }
    for (Shown& each : shown_) {
      *each.path = std::filesystem::path(kShown) / each.name;
    }
    return {};
  }

 private:
  void find(std::filesystem::path& path, const char* name) {
    if (path.empty()) {
      return;
    }
    const bool will_be_hidden = !hidden_.empty() && is_within(path, hidden_);
    if (will_be_hidden || (has_own_user_ && !is_open_to_all(path))) {
      shown_.push_back(
          {&path, name, net::UniqueFd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC))}
      );
    }
  }

  bool show() const {
    for (const Shown& each : shown_) {
      const std::string from = fmt::format("/proc/self/fd/{}", each.folder.get());
      const std::string to = fmt::format("{}/{}", kShown, each.name);
      if (::mkdir(to.c_str(), 0755) != 0 ||
          ::mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) != 0) {
        return false;
      }
    }
    return true;
  }

  std::filesystem::path hidden_;
  bool has_own_user_;
  std::vector<Shown> shown_;
};

Status enter_namespaces(const Launch& launch, Place& place) {
  if (!unshare_namespaces(launch.network)) {
    return fail(Errc::kUnavailable, "namespaces: " + why());
  }
  if (!launch.network && !net::bring_loopback_up()) {
    return fail(Errc::kUnavailable, "its loopback: " + why());
  }
  return Folders(launch, place).arrange();
}

void limit(__rlimit_resource what, std::uint64_t to) {
  const rlimit both = {to, to};
  // What is refused was lower already.
  static_cast<void>(::setrlimit(what, &both));
}

}  // namespace

Result<Place> isolate(const Launch& launch) {
  Place place;
  place.task_root = launch.dir;
  place.runtimes = launch.runtimes;
  std::error_code error;
  if (!std::filesystem::is_directory(launch.dir, error)) {
    return fail(
        Errc::kInvalidRequest, fmt::format("its folder {} is not there", launch.dir.string())
    );
  }
  IOTCORE_ASSIGN(place.user, find_user(launch.user));
  if (const Status entered = enter_namespaces(launch, place); !entered) {
    if (launch.must_isolate) {
      return fail(
          Errc::kUnavailable,
          "it cannot be kept apart as functions.require_isolation wants: " +
              entered.error().message()
      );
    }
    place.missing = entered.error().message();
  }
  return place;
}

void set_limits(std::uint64_t memory_bytes, bool own_user) {
  constexpr std::uint64_t kFileBytes = 512U << 20;  // as much as AWS gives in /tmp
  constexpr std::uint64_t kFiles = 1024;
  constexpr std::uint64_t kProcesses = 1024;
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, kFileBytes);
  limit(RLIMIT_NOFILE, kFiles);
  if (memory_bytes != 0) {
    limit(RLIMIT_DATA, memory_bytes);
  }
  if (own_user) {
    limit(RLIMIT_NPROC, kProcesses);
  }
  // Messages come first.
  constexpr int kNiceness = 5;
  static_cast<void>(::setpriority(PRIO_PROCESS, 0, kNiceness));
}

Status become_user(const Place& place) {
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (!place.user) {
    return {};
  }
  const gid_t group = place.user->group;
  if (::setgroups(1, &group) != 0 || ::setresgid(group, group, group) != 0 ||
      ::setresuid(place.user->user, place.user->user, place.user->user) != 0) {
    return fail(Errc::kUnavailable, "it cannot become another user: " + why());
  }
  return {};
}

}  // namespace iotcore::functions
