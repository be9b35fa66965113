#pragma once

#include "base/clock.h"
#include "base/metrics.h"
#include "gateway/gateway.h"
#include "net/stream.h"

#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace iotcore::gateway {

using namespace std::chrono_literals;

// What the fake clients of a server saw. Any thread.
struct Seen {
  struct Close {
    std::string client_id;
    broker::CloseReason reason;
  };

  std::mutex mutex;
  std::vector<broker::PeerIdentity> peers;
  std::vector<std::size_t> workers;
  std::vector<bool> websocket;
  std::vector<Close> closes;
  std::atomic<int> live = 0;
  std::atomic<std::size_t> bytes = 0;

  template <typename Predicate>
  bool eventually(Predicate predicate) {
    for (int i = 0; i < 2000; ++i) {
      {
        const std::lock_guard lock(mutex);
        if (predicate()) {
          return true;
        }
      }
      std::this_thread::sleep_for(5ms);
    }
    return false;
  }

  bool closed_with(broker::CloseReason reason) {
    return eventually([&] { return !closes.empty() && closes.back().reason == reason; });
  }
};

// A protocol for tests: packets of a type byte, four bytes of length (big-endian) and as many bytes. 0x10 is the first, its payload the client id.
inline std::string packet(char type, std::string_view payload) {
  std::string out(1, type);
  const auto n = static_cast<std::uint32_t>(payload.size());
  for (const int shift : {24, 16, 8, 0}) {
    out.push_back(static_cast<char>(n >> shift));
  }
  return out + std::string(payload);
}

constexpr char kConnect = 0x10;
constexpr char kEcho = 'e';   // sent back as it came
constexpr char kHello = 'h';  // answer to kConnect: the worker's number
constexpr char kQuit = 'q';   // the client closes, as after DISCONNECT
constexpr char kError = 'x';  // the client says 'y' and closes with kClientError
constexpr char kSink = 's';   // only counted
constexpr char kPause = 'p';  // reading stops and goes on in a later turn
constexpr char kFlood = 'f';  // 4 MiB come back
constexpr char kBye = 'b';    // said when the server stops

struct PacketView {
  char type;
  std::string_view payload;
  std::size_t bytes;
};

inline std::optional<PacketView> first_packet(std::string_view bytes) {
  if (bytes.size() < 5) {
    return std::nullopt;
  }
  std::size_t n = 0;
  for (std::size_t i = 1; i < 5; ++i) {
    n = n << 8 | static_cast<unsigned char>(bytes[i]);
  }
  if (bytes.size() - 5 < n) {
    return std::nullopt;
  }
  return PacketView{bytes[0], bytes.substr(5, n), 5 + n};
}

class FakeClient final : public broker::Client {
 public:
  FakeClient(Seen& seen, WorkerId worker, net::EventLoop& loop, broker::Link& link)
      : seen_(seen),
        worker_(worker),
        loop_(loop),
        link_(link),
        thread_(std::this_thread::get_id()) {
    ++seen_.live;
  }

  ~FakeClient() override { --seen_.live; }

  std::size_t on_bytes(std::string_view bytes) override {
    REQUIRE(std::this_thread::get_id() == thread_);
    std::size_t taken = 0;
    while (!closing_ && !paused_) {
      const auto next = first_packet(bytes.substr(taken));
      if (!next) {
        break;
      }
      taken += next->bytes;
      on_packet(*next);
    }
    return taken;
  }

  void on_sent() override {}

  void on_closed(broker::CloseReason reason) override {
    REQUIRE(std::this_thread::get_id() == thread_);
    if (reason == broker::CloseReason::kServerShutdown) {
      send(kBye, "");
    }
    const std::lock_guard lock(seen_.mutex);
    seen_.closes.push_back({id_, reason});
  }

 private:
  void send(char type, std::string_view payload) {
    link_.out().append(packet(type, payload));
    link_.flush_soon();
  }

  void on_packet(const PacketView& view) {
    switch (view.type) {
      case kConnect:
        id_ = view.payload;
        send(kHello, std::to_string(index(worker_)));
        break;
      case kEcho:
        send(kEcho, view.payload);
        break;
      case kSink:
        seen_.bytes += view.payload.size();
        break;
      case kQuit:
        closing_ = true;
        link_.close(broker::CloseReason::kClientDisconnect);
        break;
      case kPause:
        paused_ = true;
        link_.set_reading(false);
        loop_.post([this, alive = std::weak_ptr<int>(alive_)] {
          if (!alive.expired()) {
            paused_ = false;
            link_.set_reading(true);
          }
        });
        break;
      case kFlood:
        for (int i = 0; i < 64; ++i) {
          send(kEcho, std::string(64 * 1024, static_cast<char>('a' + i % 26)));
        }
        break;
      default:
        closing_ = true;
        send('y', "");
        link_.close(broker::CloseReason::kClientError);
        break;
    }
  }

  Seen& seen_;
  WorkerId worker_;
  net::EventLoop& loop_;
  broker::Link& link_;
  std::thread::id thread_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  // shared with tasks only weakly
  std::string id_;
  bool closing_ = false;
  bool paused_ = false;
};

class FakeClients final : public ClientFactory {
 public:
  FakeClients(Seen& seen, WorkerThreads& workers) : seen_(seen), workers_(workers) {}

  Result<std::optional<std::string_view>> peek_client_id(std::string_view bytes) override {
    if (!bytes.empty() && bytes.front() != kConnect) {
      return fail(Errc::kMalformedPacket, "not a CONNECT");
    }
    const auto connect = first_packet(bytes);
    return connect ? std::optional(connect->payload) : std::nullopt;
  }

  std::unique_ptr<broker::Client> make(
      WorkerId worker, broker::Link& link, broker::PeerIdentity peer, bool over_websocket
  ) override {
    {
      const std::lock_guard lock(seen_.mutex);
      seen_.peers.push_back(std::move(peer));
      seen_.workers.push_back(index(worker));
      seen_.websocket.push_back(over_websocket);
    }
    return std::make_unique<FakeClient>(seen_, worker, workers_.loop(worker), link);
  }

  void counts_traffic(WorkerId, const Counter&, const Counter&) override {}

 private:
  Seen& seen_;
  WorkerThreads& workers_;
};

// Two workers with fake clients behind real sockets.
class Server {
 public:
  explicit Server(GatewayLimits limits = {})
      : workers(2, 1, clock), clients(seen, workers), gateway(workers, clients, metrics, limits) {
    workers.start();
  }

  ~Server() { stop(); }

  // Also by whoever adds what connections use.
  void stop() {
    if (!std::exchange(stopped_, true)) {
      gateway.close(1s);
      workers.stop();
    }
  }

  std::uint16_t open(FaceConfig face) {
    face.address = {"127.0.0.1", 0};
    const std::string name = face.name;
    std::vector<FaceConfig> faces;
    faces.push_back(std::move(face));
    REQUIRE(gateway.open(std::move(faces)));
    return gateway.port(name);
  }

  std::uint16_t open_mqtt() {
    FaceConfig face;
    face.name = "mqtt";
    face.mqtt = true;
    return open(std::move(face));
  }

  // The sum of a metric's samples that begin with `sample`.
  double metric(const std::string& sample) {
    const std::string text = metrics.to_text();
    const std::size_t at = text.find("\n" + sample);
    return at == std::string::npos ? -1
                                   : std::stod(text.substr(text.find(' ', at + sample.size())));
  }

  SystemClock clock;
  Metrics metrics;
  Seen seen;
  WorkerThreads workers;
  FakeClients clients;
  Gateway gateway;

 private:
  bool stopped_ = false;
};

// A client's blocking socket with a time limit.
class Peer {
 public:
  explicit Peer(std::uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    const timeval limit = {10, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }

  int fd() const { return fd_.get(); }

  void close() { fd_.reset(); }

  void reset() {
    const linger hard = {1, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    fd_.reset();
  }

  void shutdown_write() { ::shutdown(fd_.get(), SHUT_WR); }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      REQUIRE(n > 0);
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }

  std::string read(std::size_t n) {
    std::string out(n, '\0');
    std::size_t got = 0;
    while (got < n) {
      const ssize_t more = recv(fd_.get(), out.data() + got, n - got, 0);
      if (more <= 0) {
        break;
      }
      got += static_cast<std::size_t>(more);
    }
    out.resize(got);
    return out;
  }

  std::string read_packet() {
    std::string head = read(5);
    if (head.size() < 5) {
      return head;
    }
    std::size_t n = 0;
    for (std::size_t i = 1; i < 5; ++i) {
      n = n << 8 | static_cast<unsigned char>(head[i]);
    }
    return head + read(n);
  }

  std::string read_all() {
    std::string out;
    while (true) {
      const std::string more = read(1);
      if (more.empty()) {
        return out;
      }
      out += more;
    }
  }

 private:
  net::UniqueFd fd_;
};

}  // namespace iotcore::gateway
