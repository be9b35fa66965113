#include "registry/authorizer_function.h"

#include "base/clock.h"
#include "base/crypto.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

extern char** environ;

namespace iotcore::registry {
namespace {

constexpr std::string_view kLambda = "arn:aws:lambda:";
constexpr std::string_view kFunction = ":function:";
constexpr std::size_t kAnswerBytesMax = 256U << 10;

bool is_url(std::string_view text) {
  return text.starts_with("https://") || text.starts_with("http://");
}

// Who has named a URL: the configuration may name whatever it likes, the API only what everybody can reach.
enum class NamedBy : std::uint8_t { kConfiguration, kApi };

Result<std::string> call_url(
    const AuthorizerFunctions& functions,
    std::string_view authorizer,
    std::string_view url,
    const std::string& event,
    NamedBy named_by
) {
  net::HttpRules rules = functions.http;
  rules.reply_bytes_max = kAnswerBytesMax;
  if (named_by == NamedBy::kConfiguration) {
    IOTCORE_ASSIGN(rules.allowed, net::parse_address_ranges("0.0.0.0/0,::/0"));
  }
  net::HttpRequest request;
  request.method = "POST";
  request.headers.set("Content-Type", "application/json");
  request.body = event;
  if (const auto secret = functions.secret ? functions.secret(authorizer) : std::nullopt) {
    request.headers.set("x-signature", to_hex(as_text(hmac_sha256(*secret, event))));
  }
  IOTCORE_ASSIGN(
      net::HttpResponse response,
      net::HttpCaller(std::move(rules)).call(url, std::move(request), functions.time_limit)
  );
  if (response.status != 200) {
    return fail(
        Errc::kInvalidResponse,
        "The authorizer's function answered with status " + std::to_string(response.status)
    );
  }
  return std::move(response.body);
}

struct Descriptor {
  explicit Descriptor(int opened = -1) : fd(opened) {}

  ~Descriptor() { close(); }

  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  void close() {
    if (fd >= 0) {
      ::close(std::exchange(fd, -1));
    }
  }

  int fd;
};

// A running program, which does not outlive this.
struct Program {
  ~Program() {
    if (pid > 0) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
  }

  // True: it ended by itself, in time, and well.
  bool wait(const Clock& clock, MonotonicTime give_up) {
    int status = 0;
    pid_t ended = 0;
    while ((ended = ::waitpid(pid, &status, WNOHANG)) == 0 && clock.now() < give_up) {
      ::poll(nullptr, 0, 2);  // it has closed its output: it is about to end
    }
    if (ended == 0) {
      return false;
    }
    pid = -1;
    return ended > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  pid_t pid = -1;
  Descriptor in;
  Descriptor out;
};

// What a program gets of the server's: all but the passphrase, which opens everything that the server keeps.
std::vector<char*> environment_of_programs() {
  std::vector<char*> out;
  for (char** each = environ; *each != nullptr; ++each) {
    if (!std::string_view(*each).starts_with("IOTCORE_PASSPHRASE=")) {
      out.push_back(*each);
    }
  }
  out.push_back(nullptr);
  return out;
}

// How a program starts: the server blocks signals and ignores SIGPIPE, which children would inherit.
struct SpawnAttributes {
  SpawnAttributes() {
    ::posix_spawnattr_init(&value);
    sigset_t signals;
    sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&value, &signals);
    sigaddset(&signals, SIGPIPE);
    ::posix_spawnattr_setsigdefault(&value, &signals);
    ::posix_spawnattr_setflags(&value, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }

  ~SpawnAttributes() { ::posix_spawnattr_destroy(&value); }

  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;

  posix_spawnattr_t value;
};

Status start(Program& program, const std::string& command) {
  std::istringstream words(command);
  std::vector<std::string> texts;
  for (std::string word; words >> word;) {
    texts.push_back(word);
  }
  std::vector<char*> arguments;
  for (std::string& text : texts) {
    arguments.push_back(text.data());
  }
  arguments.push_back(nullptr);
  std::array<int, 2> in = {-1, -1};
  std::array<int, 2> out = {-1, -1};
  if (texts.empty() || ::pipe2(in.data(), O_CLOEXEC) != 0) {
    return fail(Errc::kUnavailable, "The authorizer's program cannot be started");
  }
  const Descriptor child_in(in[0]);
  program.in.fd = in[1];
  if (::pipe2(out.data(), O_CLOEXEC) != 0) {
    return fail(Errc::kUnavailable, "The authorizer's program cannot be started");
  }
  const Descriptor child_out(out[1]);
  program.out.fd = out[0];
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, child_in.fd, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, child_out.fd, STDOUT_FILENO);
  const SpawnAttributes attributes;
  const int error = ::posix_spawn(
      &program.pid,
      arguments.front(),
      &actions,
      &attributes.value,
      arguments.data(),
      environment_of_programs().data()
  );
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    program.pid = -1;
    return fail(
        Errc::kUnavailable,
        "The authorizer's program " + texts.front() + " cannot be started: " + std::strerror(error)
    );
  }
  ::fcntl(program.in.fd, F_SETFL, O_NONBLOCK);
  ::fcntl(program.out.fd, F_SETFL, O_NONBLOCK);
  return {};
}

// Writes what is left of the event; closes the pipe when all is out or nobody reads.
void feed(Program& program, std::string_view& event) {
  const ssize_t written = ::write(program.in.fd, event.data(), event.size());
  if (written > 0) {
    event.remove_prefix(static_cast<std::size_t>(written));
  }
  if (event.empty() || (written < 0 && errno != EAGAIN)) {
    program.in.close();
  }
}

// False at the end of the answer.
bool take(Program& program, std::string& answer) {
  std::array<char, 8192> chunk;
  const ssize_t bytes = ::read(program.out.fd, chunk.data(), chunk.size());
  if (bytes > 0) {
    answer.append(chunk.data(), static_cast<std::size_t>(bytes));
  }
  return bytes > 0 || (bytes < 0 && errno == EAGAIN);
}

Result<std::string> run_program(
    const AuthorizerFunctions& functions, const std::string& command, std::string_view event
) {
  Program program;
  IOTCORE_TRY(start(program, command));
  const SystemClock clock;
  const MonotonicTime give_up = clock.now() + functions.time_limit;
  std::string answer;
  while (answer.size() <= kAnswerBytesMax) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(give_up - clock.now()).count();
    std::array<pollfd, 2> watched = {{{program.out.fd, POLLIN, 0}, {program.in.fd, POLLOUT, 0}}};
    if (left <= 0 || ::poll(watched.data(), watched.size(), static_cast<int>(left)) <= 0) {
      return fail(Errc::kTimeout, "The authorizer's program did not answer in time");
    }
    if (watched[1].revents != 0 && program.in.fd >= 0) {
      feed(program, event);
    }
    if (watched[0].revents != 0 && !take(program, answer)) {
      if (!program.wait(clock, give_up)) {
        return fail(Errc::kInvalidResponse, "The authorizer's program ended with an error");
      }
      return answer;
    }
  }
  return fail(Errc::kInvalidResponse, "The authorizer's program answered too much");
}

// NAME in "…:function:NAME" or "…:function:NAME:ALIAS".
std::string_view function_name(std::string_view arn) {
  const std::size_t at = arn.find(kFunction);
  if (at == std::string_view::npos) {
    return {};
  }
  const std::string_view name = arn.substr(at + kFunction.size());
  return name.substr(0, name.find(':'));
}

}  // namespace

Status check_function_url(const net::HttpRules& rules, std::string_view text) {
  if (!is_url(text)) {
    return {};
  }
  if (const Status checked = net::check_url(rules, text); !checked) {
    return fail(Errc::kInvalidRequest, checked.error().message());
  }
  return {};
}

Status check_function_arn(const net::HttpRules& rules, std::string_view arn) {
  if (!is_url(arn) && (!arn.starts_with(kLambda) || function_name(arn).empty())) {
    return fail(
        Errc::kInvalidRequest,
        "authorizerFunctionArn must be arn:aws:lambda:REGION:ACCOUNT:function:NAME, or a URL of "
        "https or http"
    );
  }
  return check_function_url(rules, arn);
}

Result<std::string> call_authorizer_function(
    const AuthorizerFunctions& functions,
    std::string_view authorizer,
    std::string_view arn,
    const std::string& event
) {
  if (is_url(arn)) {
    return call_url(functions, authorizer, arn, event, NamedBy::kApi);
  }
  const std::string_view name = function_name(arn);
  const auto target = functions.targets.find(name);
  if (target == functions.targets.end() && functions.local) {
    return functions.local(name, event, functions.time_limit);
  }
  if (target == functions.targets.end()) {
    return fail(
        Errc::kNotFound,
        "The configuration names no target for the function " + std::string(name) +
            " (authorizers.functions)"
    );
  }
  return is_url(target->second)
             ? call_url(functions, authorizer, target->second, event, NamedBy::kConfiguration)
             : run_program(functions, target->second, event);
}

}  // namespace iotcore::registry
