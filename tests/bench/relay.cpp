// The relay: moves whole packets between sockets along a wiring that is fixed by the clients' ids,
// and looks at no topic. What it costs is what sockets cost, so it is the limit that no broker
// passes on this machine.
//
//   relay --wiring p2p|fan-in|fan-out [--port N]
//
// bench-p-00007 publishes, bench-s-00007 subscribes. p2p: to the subscriber of the same number;
// fan-in: to subscriber 0; fan-out: to all. QoS 0 and 1; prints "port N" when it listens.

#include "tests/bench/mqtt_wire.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace iotcore::bench {
namespace {

enum class Wiring { kPairs, kFanIn, kFanOut };

struct Peer {
  int fd = -1;
  std::uint32_t index = 0;
  bool publisher = false;
  bool dirty = false;
  bool waiting = false;  // for the socket to take more
  std::uint8_t version = 4;
  std::unique_ptr<std::string> partial;  // an unfinished packet
  std::unique_ptr<std::string> out;      // what waits to be written
};

class Relay {
 public:
  explicit Relay(Wiring wiring) : wiring_(wiring), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    buffer_.resize(256 * 1024);
  }

  std::uint16_t listen(std::uint16_t port);
  [[noreturn]] void loop();

 private:
  void accept_all();
  void read(int fd);
  bool on_frame(Peer& peer, const FrameView& frame);
  bool on_connect(Peer& peer, const FrameView& frame);
  void on_subscribe(Peer& peer, const FrameView& frame);
  void forward(const Peer& from, std::string_view frames);
  void send(Peer& peer, std::string_view bytes);
  void queue(Peer& peer, std::string_view bytes);
  void flush(Peer& peer);
  void watch(const Peer& peer, std::uint32_t events, int operation);
  void close(Peer& peer);

  Wiring wiring_;
  int epoll_;
  int listener_ = -1;
  std::vector<std::uint8_t> buffer_;
  std::vector<Peer> peers_;       // by descriptor
  std::vector<int> subscribers_;  // descriptors by number
  std::vector<int> dirty_;
  std::string replies_;
};

std::uint16_t Relay::listen(std::uint16_t port) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_, 4096) != 0) {
    std::perror("relay: cannot listen");
    std::exit(1);
  }
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  epoll_event event = {.events = EPOLLIN, .data = {.fd = listener_}};
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event);
  return ntohs(address.sin_port);
}

void Relay::loop() {
  std::array<epoll_event, 512> events = {};
  for (;;) {
    const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < n; ++i) {
      const auto& event = events[static_cast<std::size_t>(i)];
      if (event.data.fd == listener_) {
        accept_all();
        continue;
      }
      if ((event.events & EPOLLOUT) != 0) {
        flush(peers_[static_cast<std::size_t>(event.data.fd)]);
      }
      if ((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) {
        read(event.data.fd);
      }
    }
    for (const int fd : dirty_) {
      flush(peers_[static_cast<std::size_t>(fd)]);
    }
    dirty_.clear();
  }
}

void Relay::accept_all() {
  for (;;) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      return;
    }
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (peers_.size() <= static_cast<std::size_t>(fd)) {
      peers_.resize(static_cast<std::size_t>(fd) + 1);
    }
    auto& peer = peers_[static_cast<std::size_t>(fd)];
    peer = Peer{};
    peer.fd = fd;
    watch(peer, EPOLLIN, EPOLL_CTL_ADD);
  }
}

void Relay::watch(const Peer& peer, std::uint32_t events, int operation) {
  epoll_event event = {.events = events, .data = {.fd = peer.fd}};
  ::epoll_ctl(epoll_, operation, peer.fd, &event);
}

void Relay::close(Peer& peer) {
  if (peer.fd >= 0) {
    ::close(peer.fd);
  }
  peer = Peer{};
}

void Relay::read(int fd) {
  auto& peer = peers_[static_cast<std::size_t>(fd)];
  if (peer.fd < 0) {
    return;
  }
  std::size_t have = 0;
  if (peer.partial) {
    have = peer.partial->copy(reinterpret_cast<char*>(buffer_.data()), buffer_.size());
  }
  const auto got = ::recv(fd, buffer_.data() + have, buffer_.size() - have, 0);
  if (got <= 0) {
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      close(peer);
    }
    return;
  }
  have += static_cast<std::size_t>(got);
  const std::uint8_t* at = buffer_.data();
  const std::uint8_t* end = at + have;
  const std::uint8_t* publishes = nullptr;
  FrameView frame;
  // Neighbouring PUBLISH packets go on as one piece.
  while (next_frame(at, end, frame) == Framing::kWhole) {
    if (frame.kind() == kPublish) {
      publishes = publishes == nullptr ? at : publishes;
      if (frame.qos() == 1) {
        const auto* topic = at + frame.header_bytes;
        put_ack(replies_, kPuback, load_u16(topic + 2 + load_u16(topic)));
      }
    } else if (!on_frame(peer, frame)) {
      close(peer);
      replies_.clear();
      return;
    }
    at += frame.size_bytes;
  }
  if (publishes != nullptr) {
    forward(
        peer, {reinterpret_cast<const char*>(publishes), static_cast<std::size_t>(at - publishes)}
    );
  }
  if (!replies_.empty()) {
    send(peer, replies_);
    replies_.clear();
  }
  if (at != end) {
    peer.partial = std::make_unique<std::string>(
        reinterpret_cast<const char*>(at), static_cast<std::size_t>(end - at)
    );
  } else {
    peer.partial.reset();
  }
}

// False: the connection ends.
bool Relay::on_frame(Peer& peer, const FrameView& frame) {
  switch (frame.first()) {
    case kConnect:
      return on_connect(peer, frame);
    case kSubscribe:
      on_subscribe(peer, frame);
      return true;
    case kPingreq:
      replies_ += std::string_view("\xD0\0", 2);
      return true;
    case kPuback:
      return true;
    default:
      return false;
  }
}

bool Relay::on_connect(Peer& peer, const FrameView& frame) {
  const auto body = frame.body();
  if (body.size() < 12) {
    return false;
  }
  peer.version = body[6];
  const std::size_t id_at = peer.version == 5 ? 11U + body[10] : 10U;
  const std::string_view id(
      reinterpret_cast<const char*>(body.data()) + id_at + 2, load_u16(&body[id_at])
  );
  constexpr std::string_view kPrefix = "bench-p-";
  if (id.size() > kPrefix.size()) {
    peer.publisher = id[6] == 'p';
    std::from_chars(id.data() + kPrefix.size(), id.data() + id.size(), peer.index);
  }
  replies_ += peer.version == 5 ? std::string_view("\x20\x03\0\0\0", 5)
                                : std::string_view("\x20\x02\0\0", 4);
  return true;
}

void Relay::on_subscribe(Peer& peer, const FrameView& frame) {
  auto body = frame.body();
  std::string answer;
  put_u16(answer, load_u16(body.data()));
  body = body.subspan(2);
  if (peer.version == 5) {
    answer += '\0';
    body = body.subspan(1U + body[0]);
  }
  while (body.size() > 2) {
    const std::size_t filter_bytes = 2U + load_u16(body.data());
    answer += static_cast<char>(body[filter_bytes] & 3);
    body = body.subspan(filter_bytes + 1);
  }
  put_packet(replies_, kSuback, answer);
  if (subscribers_.size() <= peer.index) {
    subscribers_.resize(peer.index + 1, -1);
  }
  subscribers_[peer.index] = peer.fd;
}

void Relay::forward(const Peer& from, std::string_view frames) {
  const auto to = wiring_ == Wiring::kPairs ? from.index : 0U;
  if (wiring_ == Wiring::kFanOut) {
    for (const int fd : subscribers_) {
      send(peers_[static_cast<std::size_t>(fd)], frames);
    }
  } else if (to < subscribers_.size()) {
    auto& peer = peers_[static_cast<std::size_t>(subscribers_[to])];
    wiring_ == Wiring::kFanIn ? queue(peer, frames) : send(peer, frames);
  }
}

void Relay::send(Peer& peer, std::string_view bytes) {
  if (peer.fd < 0 || (peer.out && !peer.out->empty())) {
    queue(peer, bytes);
    return;
  }
  const auto sent = ::send(peer.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  const auto taken = sent > 0 ? static_cast<std::size_t>(sent) : 0;
  if (taken < bytes.size()) {
    queue(peer, bytes.substr(taken));
  }
}

// To be written at the end of this turn, with what else comes for the same socket.
void Relay::queue(Peer& peer, std::string_view bytes) {
  if (peer.fd < 0) {
    return;
  }
  if (!peer.out) {
    peer.out = std::make_unique<std::string>();
  }
  *peer.out += bytes;
  if (!peer.dirty && !peer.waiting) {
    peer.dirty = true;
    dirty_.push_back(peer.fd);
  }
}

void Relay::flush(Peer& peer) {
  peer.dirty = false;
  if (peer.fd < 0 || !peer.out) {
    return;
  }
  const auto sent = ::send(peer.fd, peer.out->data(), peer.out->size(), MSG_NOSIGNAL);
  if (sent > 0) {
    peer.out->erase(0, static_cast<std::size_t>(sent));
  }
  if (peer.waiting == peer.out->empty()) {
    peer.waiting = !peer.waiting;
    watch(peer, peer.waiting ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
  }
}

}  // namespace
}  // namespace iotcore::bench

int main(int argc, char** argv) {
  using iotcore::bench::Wiring;
  std::uint16_t port = 0;
  std::string_view wiring = "p2p";
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view value = argv[i + 1];
    if (std::string_view(argv[i]) == "--wiring") {
      wiring = value;
    } else if (std::string_view(argv[i]) == "--port") {
      std::from_chars(value.data(), value.data() + value.size(), port);
    }
  }
  if (wiring != "p2p" && wiring != "fan-in" && wiring != "fan-out") {
    fmt::print(stderr, "usage: relay --wiring p2p|fan-in|fan-out [--port N]\n");
    return 2;
  }
  rlimit files = {};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  iotcore::bench::Relay relay(
      wiring == "p2p"      ? Wiring::kPairs
      : wiring == "fan-in" ? Wiring::kFanIn
                           : Wiring::kFanOut
  );
  fmt::print("port {}\n", relay.listen(port));
  std::fflush(stdout);
  relay.loop();
}
