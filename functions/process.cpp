#include "functions/process.h"

#include "net/local_socket.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace iotcore::functions {
namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) {
    all.push_back(text.data());
  }
  all.push_back(nullptr);
  return all;
}

// Nothing of the server's is inherited: descriptors are closed on exec, signals are as usual.
int spawn(
    pid_t& pid,
    const std::string& program,
    std::vector<std::string> arguments,
    std::vector<std::string> environment,
    int channel,
    int output
) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, channel, kChannel);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int error = ::posix_spawn(
      &pid,
      program.c_str(),
      &actions,
      &attributes,
      pointers(arguments).data(),
      pointers(environment).data()
  );
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  return error;
}

// Where dup2 to kChannel cannot meet it: the descriptor would stay close-on-exec then.
net::UniqueFd above_channel(net::UniqueFd fd) {
  return net::UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kChannel + 1));
}

}  // namespace

Result<Process> Process::start(
    const std::filesystem::path& launcher,
    const Launch& launch,
    const std::map<std::string, std::string>& environment
) {
  IOTCORE_ASSIGN(auto channel, net::make_local_channel());
  const net::UniqueFd theirs = above_channel(std::move(channel.second));
  std::array<int, 2> pipe = {-1, -1};
  if (!theirs || ::pipe2(pipe.data(), O_CLOEXEC) != 0) {
    return fail(Errc::kUnavailable, std::string("no pipe: ") + std::strerror(errno));
  }
  net::UniqueFd output(pipe[0]);
  const net::UniqueFd written = above_channel(net::UniqueFd(pipe[1]));
  ::fcntl(output.get(), F_SETFL, O_NONBLOCK);
  std::vector<std::string> arguments = to_arguments(launch);
  arguments.insert(arguments.begin(), {launcher.string(), std::string(kLauncherCommand)});
  std::vector<std::string> variables;
  for (const auto& [name, value] : environment) {
    variables.push_back(name + "=" + value);
  }
  pid_t pid = -1;
  const int error = spawn(
      pid,
      launcher.string(),
      std::move(arguments),
      std::move(variables),
      theirs.get(),
      written.get()
  );
  if (error != 0) {
    return fail(
        Errc::kUnavailable,
        fmt::format("{} cannot be started: {}", launcher.string(), std::strerror(error))
    );
  }
  return Process(pid, std::move(channel.first), std::move(output));
}

Process::Process(pid_t pid, net::UniqueFd channel, net::UniqueFd output)
    : pid_(pid), channel_(std::move(channel)), output_(std::move(output)) {}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      channel_(std::move(other.channel_)),
      output_(std::move(other.output_)) {}

Process::~Process() {
  if (pid_ <= 0) {
    return;
  }
  channel_.reset();  // it ends itself then, and the function before
  constexpr int kRoundsMax = 5000;
  for (int round = 0; round < kRoundsMax; ++round) {
    if (::waitpid(pid_, nullptr, WNOHANG) != 0) {
      return;
    }
    ::poll(nullptr, 0, 1);
  }
  ::kill(pid_, SIGKILL);  // it was stopped; the function ends with it
  ::waitpid(pid_, nullptr, 0);
}

void Process::kill() {
  // Its end of the channel becomes readable; ours still tells when it has gone.
  static_cast<void>(net::send_local(channel_.get(), "K"));
}

}  // namespace iotcore::functions
