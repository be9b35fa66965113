// Messages for rules: --count of them, each told by its number, and the time until the last is acknowledged. What becomes of them behind
// the broker is for tests/bench/sinks to see.

#include "tests/bench/dialer.h"
#include "tests/bench/process.h"
#include "tests/bench/scenarios.h"

#include <fmt/format.h>

#include <array>
#include <sys/epoll.h>
#include <unistd.h>
#include <vector>

namespace iotcore::bench {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;
// The numbers are as long as this, so that one PUBLISH can be rewritten in place.
constexpr std::uint64_t kFirstNumber = 1'000'000'000;

struct Publisher {
  Client* client = nullptr;
  std::string frame;  // to be filled in: packet id, number
  std::size_t id_at = 0;
  std::size_t number_at = 0;
  std::uint32_t sent = 0;
  std::uint32_t done = 0;
};

class Ingest {
 public:
  Ingest(const Options& options, std::uint32_t count, std::uint32_t window, Clients& clients)
      : count_(count),
        window_(window),
        qos_(options.qos),
        epoll_(::epoll_create1(0)),
        buffer_(kReadBytes) {
    for (auto& client : clients) {
      auto publisher = std::make_unique<Publisher>();
      publisher->client = client.get();
      make_frame(*publisher, options.version);
      client->link.move_to(epoll_, publisher.get());
      publishers_.push_back(std::move(publisher));
    }
  }

  ~Ingest() { ::close(epoll_); }

  Ingest(const Ingest&) = delete;
  Ingest& operator=(const Ingest&) = delete;

  void run() {
    while (done_ < count_) {
      for (auto& publisher : publishers_) {
        fill(*publisher);
      }
      std::array<epoll_event, 256> events;
      const int n = ::epoll_wait(epoll_, events.data(), events.size(), 10);
      for (int i = 0; i < n; ++i) {
        auto& publisher = *static_cast<Publisher*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (publisher.client->link.has_output() && !publisher.client->link.flush()) {
          fail("the server closed a connection");
        }
        read(publisher);
      }
    }
  }

 private:
  void make_frame(Publisher& publisher, std::uint32_t version) const {
    const std::uint32_t index = publisher.client->index;
    std::string body;
    put_text(body, fmt::format("ingest/machine-{}", index));
    const std::size_t id_at = body.size();
    if (qos_ > 0) {
      put_u16(body, 0);
    }
    if (version == 5) {
      body += '\0';
    }
    body += R"({"id":)";
    const std::size_t number_at = body.size();
    body += fmt::format(
        R"({},"device":"machine-{}","temp":{}.5,"ok":true,"note":"some text of thirty bytes, say"}})",
        kFirstNumber,
        index,
        index
    );
    put_packet(publisher.frame, static_cast<std::uint8_t>(kPublish | qos_ << 1), body);
    const std::size_t header = publisher.frame.size() - body.size();
    publisher.id_at = header + id_at;
    publisher.number_at = header + number_at;
  }

  // At QoS 0 a window is done when a PINGRESP has come.
  void fill(Publisher& publisher) {
    out_.clear();
    while (sent_ < count_ && publisher.sent - publisher.done < window_ &&
           !publisher.client->link.has_output()) {
      put(publisher);
      const bool is_last = publisher.sent - publisher.done == window_ || sent_ == count_;
      if (qos_ == 0 && is_last) {
        put_packet(out_, kPingreq, "");
      }
    }
    if (!out_.empty() && !publisher.client->link.send(out_)) {
      fail("the server closed a connection");
    }
  }

  void put(Publisher& publisher) {
    auto* bytes = reinterpret_cast<std::uint8_t*>(publisher.frame.data());
    if (qos_ > 0) {
      store_u16(bytes + publisher.id_at, static_cast<std::uint16_t>(publisher.sent % 65535 + 1));
    }
    fmt::format_to(publisher.frame.data() + publisher.number_at, "{}", kFirstNumber + sent_);
    out_ += publisher.frame;
    ++publisher.sent;
    ++sent_;
  }

  void read(Publisher& publisher) {
    Link& link = publisher.client->link;
    std::string& partial = link.partial();
    std::size_t have = partial.size();
    std::copy(partial.begin(), partial.end(), buffer_.begin());
    const ssize_t got = link.receive(buffer_.data() + have, buffer_.size() - have);
    if (got < 0) {
      return;
    }
    if (got == 0) {
      fail("the server closed a connection");
    }
    have += static_cast<std::size_t>(got);
    const std::uint8_t* at = buffer_.data();
    const std::uint8_t* end = at + have;
    FrameView frame;
    while (next_frame(at, end, frame) == Framing::kWhole) {
      const std::uint32_t before = publisher.done;
      if (frame.kind() == kPuback) {
        ++publisher.done;
      } else if (frame.kind() == kPingresp) {
        publisher.done = publisher.sent;
      } else {
        fail("an unexpected packet");
      }
      done_ += publisher.done - before;
      at += frame.size_bytes;
    }
    partial.assign(reinterpret_cast<const char*>(at), static_cast<std::size_t>(end - at));
  }

  const std::uint32_t count_;
  const std::uint32_t window_;
  const std::uint32_t qos_;
  int epoll_;
  std::vector<std::unique_ptr<Publisher>> publishers_;
  std::vector<std::uint8_t> buffer_;
  std::string out_;
  std::uint32_t sent_ = 0;
  std::uint32_t done_ = 0;
};

}  // namespace

void ingest(const Options& options, TlsClient* tls, Record& record) {
  const std::uint32_t count = options.count > 0 ? options.count : 100'000;
  auto clients = make_clients(Client::Role::kPublisher, options.clients > 0 ? options.clients : 50);
  Dialer dialer(options, tls);
  dialer.open(clients);
  Ingest load(options, count, options.window > 0 ? options.window : 64, clients);
  const auto cpu = cpu_seconds(options.pid);
  const auto start = now_ns();
  load.run();
  record.add("messages", count);
  record.add("seconds", static_cast<double>(now_ns() - start) * 1e-9);
  record.add("cpu_us", (cpu_seconds(options.pid) - cpu) * 1e6 / count);
}

}  // namespace iotcore::bench
