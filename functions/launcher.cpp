#include "functions/launcher.h"

#include "functions/isolation.h"
#include "net/local_socket.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <optional>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

namespace iotcore::functions {
namespace {

constexpr int kCannotRun = 126;

void tell(LauncherWord word, std::string_view text, int descriptor = -1) {
  // The server has gone, if this fails: the channel's end tells.
  static_cast<void>(
      net::send_local(kChannel, static_cast<char>(word) + std::string(text), descriptor)
  );
}

std::optional<pid_t> parse_pid(std::string_view text) {
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(pid)
                                                                  : std::nullopt;
}

// The parent in /proc/PID/stat: "PID (name, with anything in it) S PARENT …".
std::optional<pid_t> parent_of(const std::filesystem::path& process) {
  std::ifstream file(process / "stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(") ");
  if (name_end == std::string::npos || name_end + 4 > line.size()) {
    return std::nullopt;
  }
  const std::size_t at = name_end + 4;
  return parse_pid(std::string_view(line).substr(at, line.find(' ', at) - at));
}

// Its own children; those whose parents have gone are among them.
std::vector<pid_t> children() {
  std::vector<pid_t> found;
  const pid_t self = ::getpid();
  std::error_code error;
  for (std::filesystem::directory_iterator each("/proc", error), end; !error && each != end;
       each.increment(error)) {
    const std::optional<pid_t> pid = parse_pid(each->path().filename().native());
    if (pid && parent_of(each->path()) == self) {
      found.push_back(*pid);
    }
  }
  return found;
}

// Until nobody is left: whoever loses its parent becomes a child of this process.
void kill_all(pid_t function) {
  constexpr int kRoundsMax = 2000;
  ::kill(-function, SIGKILL);
  for (int round = 0; round < kRoundsMax; ++round) {
    const std::vector<pid_t> left = children();
    for (const pid_t pid : left) {
      ::kill(pid, SIGKILL);
    }
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    if (left.empty()) {
      return;
    }
    ::poll(nullptr, 0, 1);
  }
}

std::string describe(int status) {
  if (WIFSIGNALED(status)) {
    const char* name = ::sigdescr_np(WTERMSIG(status));
    std::string text = name != nullptr ? name : "unknown";
    text.front() = static_cast<char>(std::tolower(text.front()));
    return "signal: " + text;
  }
  return fmt::format("exit status {}", WEXITSTATUS(status));
}

std::string with_folders(std::string word, const Place& place) {
  const auto replace = [&word](std::string_view name, const std::string& value) {
    for (std::size_t at = 0; (at = word.find(name, at)) != std::string::npos; at += value.size()) {
      word.replace(at, name.size(), value);
    }
  };
  replace("${LAMBDA_TASK_ROOT}", place.task_root);
  replace("${LAMBDA_RUNTIME_DIR}", place.runtimes);
  return word;
}

// Before what the variable holds already.
void put_before(const char* variable, const std::string& folder) {
  const char* rest = std::getenv(variable);
  const std::string all = rest == nullptr || *rest == '\0' ? folder : folder + ":" + rest;
  ::setenv(variable, all.c_str(), 1);
}

void set_variables(const Place& place, const std::string& api) {
  ::setenv("AWS_LAMBDA_RUNTIME_API", api.c_str(), 1);
  ::setenv("LAMBDA_TASK_ROOT", place.task_root.c_str(), 1);
  if (!place.runtimes.empty()) {
    ::setenv("LAMBDA_RUNTIME_DIR", place.runtimes.c_str(), 1);
    put_before("PYTHONPATH", place.runtimes / "python");
    put_before("NODE_PATH", place.runtimes / "nodejs");
  }
}

// In the process that becomes the function.
[[noreturn]] void become(const Launch& launch, const Place& place, pid_t launcher) {
  const auto give_up = [](const std::string& why) {
    tell(LauncherWord::kFailed, why);
    ::_exit(kCannotRun);
  };
  ::setsid();  // a group of its own, to be ended as one
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  set_limits(launch.memory_bytes, place.user.has_value());
  if (const Status done = become_user(place); !done) {
    give_up(done.error().message());
  }
  // Behind the change of user, which takes it away.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launcher) {
    ::_exit(kCannotRun);
  }
  if (::chdir(place.task_root.c_str()) != 0) {
    give_up(fmt::format(
        "its folder {} cannot be entered by {}: {}",
        launch.dir.string(),
        place.user ? "user " + launch.user : "the server's user",
        std::strerror(errno)
    ));
  }
  std::vector<std::string> command;
  std::vector<char*> words;
  for (const std::string& word : launch.command) {
    command.push_back(with_folders(word, place));
  }
  for (std::string& word : command) {
    words.push_back(word.data());
  }
  words.push_back(nullptr);
  ::execvp(words.front(), words.data());
  give_up(fmt::format("{} cannot be run: {}", launch.command.front(), std::strerror(errno)));
  ::_exit(kCannotRun);
}

// Until the function's process or the server ends.
void supervise(pid_t function, int signals) {
  std::array<pollfd, 2> watched = {{{kChannel, POLLIN, 0}, {signals, POLLIN, 0}}};
  for (;;) {
    if (::poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) {
      return;
    }
    if (watched[0].revents != 0) {
      return;  // the server says nothing on it: it has closed it
    }
    signalfd_siginfo ignored;
    while (::read(signals, &ignored, sizeof ignored) > 0) {
    }
    int status = 0;
    for (pid_t ended = 0; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (ended == function) {
        kill_all(function);
        tell(LauncherWord::kExited, describe(status));
        return;
      }
    }
  }
}

int launch_function(const Launch& launch) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::setsid();
  Result<Place> place = isolate(launch);
  if (!place) {
    tell(LauncherWord::kFailed, place.error().message());
    return kCannotRun;
  }
  const Result<net::UniqueFd> listener = net::listen_on({"127.0.0.1", 0}, 16);
  if (!listener) {
    tell(LauncherWord::kFailed, listener.error().message());
    return kCannotRun;
  }
  set_variables(*place, fmt::format("127.0.0.1:{}", net::local_port(listener->get())));
  tell(LauncherWord::kListener, place->missing, listener->get());

  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  ::sigprocmask(SIG_SETMASK, &child, nullptr);
  const net::UniqueFd signals(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  const pid_t self = ::getpid();
  const pid_t function = ::fork();
  if (function == 0) {
    become(launch, *place, self);
  }
  if (function < 0) {
    tell(LauncherWord::kFailed, fmt::format("no process: {}", std::strerror(errno)));
    return kCannotRun;
  }
  supervise(function, signals.get());
  kill_all(function);
  return 0;
}

}  // namespace

std::vector<std::string> to_arguments(const Launch& launch) {
  std::vector<std::string> arguments;
  arguments.push_back("dir=" + launch.dir.string());
  arguments.push_back("runtimes=" + launch.runtimes.string());
  arguments.push_back("hidden=" + launch.hidden.string());
  arguments.push_back("user=" + launch.user);
  arguments.push_back("memory=" + std::to_string(launch.memory_bytes));
  arguments.push_back(launch.network ? "network=1" : "network=0");
  arguments.push_back(launch.must_isolate ? "must_isolate=1" : "must_isolate=0");
  arguments.emplace_back("--");
  arguments.insert(arguments.end(), launch.command.begin(), launch.command.end());
  return arguments;
}

Result<Launch> parse_arguments(std::span<const std::string_view> arguments) {
  Launch launch;
  std::size_t i = 0;
  for (; i < arguments.size() && arguments[i] != "--"; ++i) {
    const std::size_t equals = arguments[i].find('=');
    const std::string_view key = arguments[i].substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : arguments[i].substr(equals + 1);
    if (key == "dir") {
      launch.dir = value;
    } else if (key == "runtimes") {
      launch.runtimes = value;
    } else if (key == "hidden") {
      launch.hidden = value;
    } else if (key == "user") {
      launch.user = value;
    } else if (key == "memory") {
      std::from_chars(value.data(), value.data() + value.size(), launch.memory_bytes);
    } else if (key == "network") {
      launch.network = value == "1";
    } else if (key == "must_isolate") {
      launch.must_isolate = value == "1";
    } else {
      return fail(Errc::kInvalidRequest, fmt::format("unknown argument {}", arguments[i]));
    }
  }
  for (++i; i < arguments.size(); ++i) {
    launch.command.emplace_back(arguments[i]);
  }
  if (launch.command.empty()) {
    return fail(Errc::kInvalidRequest, "no command");
  }
  return launch;
}

int run_launcher(std::span<const std::string_view> arguments) {
  // Started by hand, nobody is at the other end.
  if (::fcntl(kChannel, F_SETFD, FD_CLOEXEC) != 0) {
    static_cast<void>(std::fputs("iotcore: run-function is for the server\n", stderr));
    return kCannotRun;
  }
  const Result<Launch> launch = parse_arguments(arguments);
  if (!launch) {
    tell(LauncherWord::kFailed, launch.error().message());
    return kCannotRun;
  }
  return launch_function(*launch);
}

}  // namespace iotcore::functions
