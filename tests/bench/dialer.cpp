#include "tests/bench/dialer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <sys/epoll.h>
#include <unistd.h>

namespace iotcore::bench {
namespace {

// Nothing happening for this long while connecting means that the server is stuck.
constexpr int kPatienceMs = 20'000;

// Every code of a SUBACK for `filters` filters grants; codes come last in both versions.
bool all_granted(const FrameView& frame, std::size_t filters) {
  const auto body = frame.body();
  if (frame.first() != kSuback || body.size() < 2 + filters) {
    return false;
  }
  return std::ranges::all_of(body.last(filters), [](std::uint8_t code) { return code <= 2; });
}

}  // namespace

Clients make_clients(Client::Role role, std::uint32_t count) {
  Clients clients(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    clients[i] = std::make_unique<Client>();
    clients[i]->role = role;
    clients[i]->index = i;
    clients[i]->id = fmt::format("bench-{}-{:05}", role == Client::Role::kPublisher ? 'p' : 's', i);
  }
  return clients;
}

Dialer::Dialer(const Options& options, TlsClient* tls)
    : options_(options), tls_(tls), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

Dialer::~Dialer() {
  ::close(epoll_);
}

void Dialer::start_next() {
  auto& client = *(*clients_)[started_++];
  client.link.connect(options_, tls_, resume_, epoll_, &client);
}

void Dialer::open(Clients& clients, const std::function<void(Client&)>& on_open) {
  clients_ = &clients;
  on_open_ = &on_open;
  started_ = 0;
  opened_ = 0;
  const std::size_t first = std::min<std::size_t>(options_.parallel, clients.size());
  while (started_ < first) {
    start_next();
  }
  std::array<epoll_event, 128> events = {};
  while (opened_ < clients.size()) {
    const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), kPatienceMs);
    if (n == 0) {
      fail(fmt::format("no answer; {} of {} clients are connected", opened_, clients.size()));
    }
    for (int i = 0; i < n; ++i) {
      on_event(*static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr));
    }
  }
}

void Dialer::on_event(Client& client) {
  if (client.link.state() != Link::State::kOpen) {
    if (const auto problem = client.link.advance(); !problem.empty()) {
      fail(fmt::format("{}: {}", client.id, problem));
    }
    const bool persistent = options_.persistent != 0 && client.role == Client::Role::kSubscriber;
    if (client.link.state() == Link::State::kOpen &&
        !client.link.send(connect_packet(client.id, static_cast<int>(options_.version), persistent)
        )) {
      fail(fmt::format("{}: closed before CONNECT", client.id));
    }
    return;
  }
  FrameView frame;
  if (!read_frame(client, frame)) {
    return;
  }
  Connack answer;
  if (!read_connack(frame, static_cast<int>(options_.version), answer)) {
    fail(fmt::format("{}: no CONNACK but a packet {:#04x}", client.id, frame.first()));
  }
  if (answer.code != 0) {
    fail(fmt::format("{}: CONNECT refused with code {:#04x}", client.id, answer.code));
  }
  client.receive_maximum = answer.receive_maximum;
  client.link.partial().erase(0, frame.size_bytes);
  ++opened_;
  if (*on_open_) {
    (*on_open_)(client);
  }
  if (started_ < clients_->size()) {
    start_next();
  }
}

// Gathers in the client's `partial` until it holds one packet; `frame` points into it.
bool Dialer::read_frame(Client& client, FrameView& frame) {
  std::array<std::uint8_t, 4096> bytes;
  const auto got = client.link.receive(bytes.data(), bytes.size());
  if (got == 0) {
    fail(fmt::format("{}: the server closed the connection", client.id));
  }
  auto& partial = client.link.partial();
  if (got > 0) {
    partial.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(got));
  }
  const auto* at = as_octets(partial);
  const auto framing = next_frame(at, at + partial.size(), frame);
  if (framing == Framing::kMalformed) {
    fail(fmt::format("{}: malformed packet", client.id));
  }
  return framing == Framing::kWhole;
}

bool Dialer::send_subscribe(Client& client, int qos) {
  auto& done = subscribed_[client.index];
  const auto rest = std::span(client.filters).subspan(done);
  if (rest.empty()) {
    return false;
  }
  const auto now = rest.first(std::min<std::size_t>(rest.size(), options_.filters_per_packet));
  done += static_cast<std::uint32_t>(now.size());
  const auto packet = subscribe_packet(
      static_cast<std::uint16_t>(done), now, qos, static_cast<int>(options_.version)
  );
  if (!client.link.send(packet)) {
    fail(fmt::format("{}: closed at SUBSCRIBE", client.id));
  }
  return true;
}

std::uint64_t Dialer::subscribe(Clients& clients, int qos) {
  subscribed_.assign(clients.size(), 0);
  std::size_t busy = 0;
  for (auto& client : clients) {
    busy += send_subscribe(*client, qos) ? 1 : 0;
  }
  std::array<epoll_event, 512> events = {};
  while (busy > 0) {
    const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), kPatienceMs);
    if (n == 0) {
      fail(fmt::format("no SUBACK; {} clients wait", busy));
    }
    for (int i = 0; i < n; ++i) {
      auto& client = *static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
      FrameView frame;
      if ((client.link.has_output() && !client.link.flush()) || !read_frame(client, frame)) {
        continue;
      }
      if (!all_granted(frame, (subscribed_[client.index] - 1) % options_.filters_per_packet + 1)) {
        fail(fmt::format("{}: SUBSCRIBE refused", client.id));
      }
      client.link.partial().erase(0, frame.size_bytes);
      busy -= send_subscribe(client, qos) ? 0 : 1;
    }
  }
  std::uint64_t filters = 0;
  for (const auto count : subscribed_) {
    filters += count;
  }
  return filters;
}

}  // namespace iotcore::bench
