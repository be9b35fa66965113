// Publishing over HTTPS, on connections that are kept: one request in flight on each, and each message on its way to a subscriber by MQTT.

#include "tests/bench/dialer.h"
#include "tests/bench/process.h"
#include "tests/bench/scenarios.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <sys/epoll.h>
#include <unistd.h>
#include <vector>

namespace iotcore::bench {
namespace {

constexpr double kStallS = 3;

// The size of a whole response at the front of `text`, 0 if it is not whole yet. Ends the run if it is not a success.
std::size_t response_bytes(std::string_view text) {
  const auto head = text.find("\r\n\r\n");
  if (head == std::string_view::npos) {
    return 0;
  }
  if (!text.starts_with("HTTP/1.1 200 ")) {
    fail(fmt::format("publish refused: {}", text.substr(0, 300)));
  }
  constexpr std::string_view kLength = "content-length:";
  const auto same = [](char a, char b) { return (a | 0x20) == b || a == b; };
  const auto* const found =
      std::search(text.begin(), text.begin() + head, kLength.begin(), kLength.end(), same);
  std::size_t length = 0;
  if (found != text.begin() + head) {
    const char* digits = found + kLength.size();
    digits += *digits == ' ' ? 1 : 0;
    std::from_chars(digits, text.data() + head, length);
  }
  const std::size_t size = head + 4 + length;
  return text.size() < size ? 0 : size;
}

class HttpPublishers {
 public:
  HttpPublishers(const Options& options, TlsClient* tls, Clients& subscribers)
      : options_(options), epoll_(::epoll_create1(EPOLL_CLOEXEC)), buffer_(64 * 1024) {
    for (auto& subscriber : subscribers) {
      auto pair = std::make_unique<Pair>();
      pair->subscriber = subscriber.get();
      pair->request = fmt::format(
          "POST /topics/bench/pair/{:06}?qos={} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}"
          "\r\n\r\n",
          subscriber->index,
          options.qos,
          options.payload
      );
      pair->request.append(options.payload, 'x');
      subscriber->link.move_to(epoll_, &pair->from_subscriber);
      pair->from_subscriber = {pair.get(), true};
      pair->from_publisher = {pair.get(), false};
      pairs_.push_back(std::move(pair));
    }
    open(tls);
  }

  ~HttpPublishers() { ::close(epoll_); }

  HttpPublishers(const HttpPublishers&) = delete;
  HttpPublishers& operator=(const HttpPublishers&) = delete;

  void start() {
    for (auto& pair : pairs_) {
      publish(*pair);
    }
  }

  void run_for(double seconds) {
    const auto end = now_ns() + static_cast<std::uint64_t>(seconds * 1e9);
    while (now_ns() < end) {
      turn(100);
    }
  }

  // Without new requests, until all that is under way has arrived. What has not.
  std::uint64_t drain() {
    publishing_ = false;
    const auto end = now_ns() + static_cast<std::uint64_t>(kStallS * 1e9);
    while (open_ > 0 && now_ns() < end) {
      turn(10);
    }
    return open_;
  }

  std::uint64_t deliveries() const { return deliveries_; }

 private:
  struct Pair;

  struct Source {
    Pair* pair = nullptr;
    bool is_subscriber = false;
  };

  struct Pair {
    Link publisher;
    Client* subscriber = nullptr;
    std::string request;
    std::string answer;
    Source from_publisher;
    Source from_subscriber;
    int missing = 0;  // of the answer and the delivery
  };

  void open(TlsClient* tls) {
    std::size_t opened = 0;
    for (std::size_t started = 0; opened < pairs_.size();) {
      while (started < pairs_.size() && started < opened + options_.parallel) {
        auto& pair = *pairs_[started++];
        pair.publisher.connect(options_, tls, false, epoll_, &pair.from_publisher);
      }
      const int n = ::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), 20'000);
      if (n == 0) {
        fail("no answer to HTTPS connections");
      }
      for (int i = 0; i < n; ++i) {
        auto& link =
            static_cast<Source*>(events_[static_cast<std::size_t>(i)].data.ptr)->pair->publisher;
        if (link.state() == Link::State::kOpen) {
          link.receive(buffer_.data(), buffer_.size());  // session tickets
          continue;
        }
        if (const auto problem = link.advance(); !problem.empty()) {
          fail(problem);
        }
        opened += link.state() == Link::State::kOpen ? 1 : 0;
      }
    }
  }

  void publish(Pair& pair) {
    pair.missing = 2;
    ++open_;
    if (!pair.publisher.send(pair.request)) {
      fail("an HTTPS connection was closed");
    }
  }

  void turn(int timeout_ms) {
    const int n =
        ::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), timeout_ms);
    for (int i = 0; i < n; ++i) {
      const Source& from = *static_cast<Source*>(events_[static_cast<std::size_t>(i)].data.ptr);
      const int came = from.is_subscriber ? read_messages(*from.pair) : read_answer(*from.pair);
      from.pair->missing -= came;
      if (came > 0 && from.pair->missing == 0) {
        --open_;
        if (publishing_) {
          publish(*from.pair);
        }
      }
    }
  }

  int read_answer(Pair& pair) {
    if (pair.publisher.has_output()) {
      pair.publisher.flush();
    }
    const auto got = pair.publisher.receive(buffer_.data(), buffer_.size());
    if (got == 0) {
      fail("the server closed an HTTPS connection");
    }
    if (got > 0) {
      pair.answer.append(
          reinterpret_cast<const char*>(buffer_.data()), static_cast<std::size_t>(got)
      );
    }
    const auto size = response_bytes(pair.answer);
    pair.answer.erase(0, size);
    return size > 0 ? 1 : 0;
  }

  int read_messages(Pair& pair) {
    auto& link = pair.subscriber->link;
    auto& partial = link.partial();
    std::memcpy(buffer_.data(), partial.data(), partial.size());
    const auto have = partial.size();
    const auto got = link.receive(buffer_.data() + have, buffer_.size() - have);
    if (got == 0) {
      fail(fmt::format("{}: the server closed the connection", pair.subscriber->id));
    }
    const std::uint8_t* at = buffer_.data();
    const std::uint8_t* end = at + have + std::max<ssize_t>(got, 0);
    int messages = 0;
    FrameView frame;
    std::string acks;
    for (; next_frame(at, end, frame) == Framing::kWhole; at += frame.size_bytes) {
      PublishView message;
      if (frame.kind() == kPublish &&
          read_publish(frame, static_cast<int>(options_.version), message)) {
        ++messages;
        if (frame.qos() > 0) {
          put_ack(acks, kPuback, message.packet_id);
        }
      }
    }
    partial.assign(reinterpret_cast<const char*>(at), static_cast<std::size_t>(end - at));
    if (!acks.empty()) {
      link.send(acks);
    }
    deliveries_ += static_cast<std::uint64_t>(messages);
    return messages;
  }

  const Options& options_;
  int epoll_;
  std::vector<std::unique_ptr<Pair>> pairs_;
  std::array<epoll_event, 512> events_ = {};
  std::vector<std::uint8_t> buffer_;
  std::uint64_t deliveries_ = 0;
  std::uint64_t open_ = 0;
  bool publishing_ = true;
};

}  // namespace

void https_publish(const Options& options, TlsClient* tls, Record& record) {
  auto subscribers =
      make_clients(Client::Role::kSubscriber, options.clients > 0 ? options.clients : 500);
  for (auto& subscriber : subscribers) {
    subscriber->filters.push_back(fmt::format("bench/pair/{:06}", subscriber->index));
  }
  Dialer dialer(options, tls);
  dialer.open(subscribers);
  dialer.subscribe(subscribers, static_cast<int>(options.qos));
  HttpPublishers publishers(options, tls, subscribers);
  publishers.start();
  publishers.run_for(options.warmup);
  const auto before = publishers.deliveries();
  const auto cpu = cpu_seconds(options.pid);
  const auto own_cpu = own_cpu_seconds();
  const auto start = now_ns();
  publishers.run_for(options.seconds);
  const double elapsed_s = static_cast<double>(now_ns() - start) * 1e-9;
  const double cpu_s = cpu_seconds(options.pid) - cpu;
  const double own_s = own_cpu_seconds() - own_cpu;
  const auto count = static_cast<double>(publishers.deliveries() - before);
  record.add("tls", tls != nullptr);
  record.add("rate", count / elapsed_s);
  record.add("cpu_us", cpu_s * 1e6 / count);
  record.add("generator_cores", own_s / elapsed_s);
  record.add("undelivered", publishers.drain());
}

}  // namespace iotcore::bench
