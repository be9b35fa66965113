#include "tests/bench/disturbance.h"

#include "tests/bench/process.h"

#include <fmt/format.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace iotcore::bench {
namespace {

constexpr std::uint32_t kStalled = 20;
constexpr std::uint32_t kDevices = 1000;
constexpr std::uint32_t kHandshakesPerS = 1000;
constexpr double kPolicyEveryS = 0.25;

Options with_port(Options options, std::uint32_t port) {
  options.port = port;
  return options;
}

Clients disturbers(std::uint32_t count) {
  auto clients = make_clients(Client::Role::kSubscriber, count);
  for (auto& client : clients) {
    client->id = fmt::format("disturber-{}", client->index);
  }
  return clients;
}

}  // namespace

Disturbance::Disturbance(const Options& options, TlsClient* tls)
    : options_(options),
      tls_options_(with_port(options, options.tls_port)),
      tls_(tls),
      dialer_(options_, nullptr),
      tls_dialer_(tls_options_, tls) {
  prepare();
}

Disturbance::~Disturbance() {
  stopping_ = true;
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Disturbance::prepare() {
  const auto& what = options_.disturb;
  if (what == "stalled" || what == "all") {
    clients_ = disturbers(what == "all" ? 1 : kStalled);
    dialer_.open(clients_);
  } else if ((what == "handshakes" || what == "policies") && tls_ != nullptr && options_.tls_port != 0) {
    clients_ = disturbers(what == "policies" ? kDevices : 0);
    tls_dialer_.open(clients_);
  } else {
    fail(
        "--disturb is stalled or all, or with --ca, --tls-port and --api-port handshakes or "
        "policies"
    );
  }
}

void Disturbance::start() {
  if (options_.disturb == "stalled" || options_.disturb == "all") {
    for (auto& client : clients_) {
      client->filters = {options_.disturb == "all" ? "#" : "bench/#"};
    }
    dialer_.subscribe(clients_, 0);
  }
  thread_ = std::thread([this] { run(); });
}

void Disturbance::run() {
  if (options_.disturb == "all") {
    read_everything();
  } else if (options_.disturb == "handshakes") {
    shake_hands();
  } else if (options_.disturb == "policies") {
    replace_policies();
  }
}

void Disturbance::read_everything() {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  Link& link = clients_[0]->link;
  link.move_to(epoll, nullptr);
  std::vector<std::uint8_t> buffer(64 * 1024);
  while (!stopping_) {
    epoll_event event = {};
    if (::epoll_wait(epoll, &event, 1, 10) > 0 && link.receive(buffer.data(), buffer.size()) > 0) {
      ++count_;
    }
  }
  ::close(epoll);
}

void Disturbance::shake_hands() {
  constexpr std::uint32_t kAtOnce = 10;
  const auto start = now_ns();
  while (!stopping_) {
    auto clients = disturbers(kAtOnce);
    tls_dialer_.open(clients);
    count_ += kAtOnce;
    const double due_s = static_cast<double>(count_.load()) / kHandshakesPerS;
    sleep_s(due_s - static_cast<double>(now_ns() - start) * 1e-9);
  }
}

void Disturbance::replace_policies() {
  const std::string everything =
      R"({"policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",)"
      R"(\"Action\":\"iot:*\",\"Resource\":\"*\"}]}"})";
  std::string version = "1";
  while (!stopping_) {
    const std::string answer =
        call("POST", "/policies/bench/version?setAsDefault=true", everything);
    constexpr std::string_view kId = "\"policyVersionId\":\"";
    const auto at = answer.find(kId);
    if (at == std::string::npos) {
      fail("no new version of the policy: " + answer.substr(0, 300));
    }
    call("DELETE", "/policies/bench/version/" + version, "");
    const auto begin = at + kId.size();
    version = answer.substr(begin, answer.find('"', begin) - begin);
    ++count_;
    sleep_s(kPolicyEveryS);
  }
}

std::string Disturbance::call(
    const std::string& method, const std::string& path, const std::string& body
) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(options_.api_port));
  ::inet_pton(AF_INET, options_.host.c_str(), &address.sin_addr);
  const std::string request = fmt::format(
      "{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}",
      method,
      path,
      body.size(),
      body
  );
  std::string answer;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
      ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
    char bytes[4096];
    for (ssize_t got = 0; (got = ::recv(fd, bytes, sizeof(bytes), 0)) > 0;) {
      answer.append(bytes, static_cast<std::size_t>(got));
    }
  }
  ::close(fd);
  return answer;
}

}  // namespace iotcore::bench
