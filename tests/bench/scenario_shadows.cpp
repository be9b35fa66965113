// Shadows: durable updates of many things, and reads of them.

#include "tests/bench/dialer.h"
#include "tests/bench/latencies.h"
#include "tests/bench/process.h"
#include "tests/bench/scenarios.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <sys/epoll.h>
#include <unistd.h>
#include <vector>

namespace iotcore::bench {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
// Of a message in front of its frame's end: the digits that make each update another one.
constexpr std::size_t kDigits = 10;

// What the clients ask for.
struct ShadowPlan {
  bool reads = false;
  bool subscribed =
      false;  // each device to its answers; then an update is done when both have come
  std::uint32_t things = 10'000;
  std::uint32_t window = 32;
  double rate = 0;  // 0: closed loop
};

// Members like a device's, in about the wanted size; the counter is the last value of all.
std::string document_of(std::uint32_t bytes) {
  std::string members;
  for (int i = 0; members.size() + 90 < bytes; ++i) {
    members += fmt::format(R"("sensor{}":{{"value":21.5,"unit":"celsius","on":true}},)", i);
  }
  return R"({"state":{"reported":{)" + members + R"("count":)" + std::string(kDigits, '1') + "}}}";
}

// One device's or gateway's connection and the things behind it.
struct Device {
  Client* client = nullptr;
  std::vector<std::string>
      frames;  // one PUBLISH for each of its things, the id and the counter to be filled in
  std::size_t next = 0;
  std::uint32_t sent = 0;
  std::uint32_t acknowledged = 0;
  std::uint32_t answered = 0;
  std::array<std::uint64_t, 65536> due_ns = {};  // by packet id
};

class ShadowLoad {
 public:
  ShadowLoad(const Options& options, const ShadowPlan& plan, Clients& clients)
      : options_(options), plan_(plan), epoll_(::epoll_create1(0)), buffer_(kReadBytes) {
    const std::string payload = plan.reads ? "" : document_of(options.payload);
    std::uint32_t thing = 0;
    for (auto& client : clients) {
      auto device = std::make_unique<Device>();
      device->client = client.get();
      for (std::uint32_t i = 0; i < plan.things / clients.size(); ++i) {
        device->frames.push_back(frame_of(thing++, payload));
      }
      client->link.move_to(epoll_, device.get());
      devices_.push_back(std::move(device));
    }
  }

  ~ShadowLoad() { ::close(epoll_); }

  ShadowLoad(const ShadowLoad&) = delete;
  ShadowLoad& operator=(const ShadowLoad&) = delete;

  static std::string topic_of(std::uint32_t thing) {
    return fmt::format("$aws/things/thing-{:06}/shadow", thing);
  }

  // Every thing once, so that what follows finds a shadow.
  void create() {
    const std::uint64_t count = devices_.size() * devices_.front()->frames.size();
    run([&] { return done_ >= count; }, devices_.front()->frames.size());
  }

  void run_for(double seconds) {
    const std::uint64_t end = now_ns() + static_cast<std::uint64_t>(seconds * 1e9);
    due_ns_ = static_cast<double>(now_ns());
    run([&] { return now_ns() >= end; }, ~0ULL);
  }

  void drain() {
    const std::uint64_t end = now_ns() + 10'000'000'000;
    run([&] { return done_ == sent_ || now_ns() >= end; }, 0);
  }

  std::uint64_t done() const { return done_; }

  std::uint64_t open() const { return sent_ - done_; }

  Latencies latencies;
  bool timing = false;

 private:
  std::string frame_of(std::uint32_t thing, const std::string& payload) const {
    std::string body;
    put_text(body, topic_of(thing) + (plan_.reads ? "/get" : "/update"));
    put_u16(body, 0);
    if (options_.version == 5) {
      body += '\0';
    }
    body += payload;
    std::string frame;
    put_packet(frame, kPublish | 2, body);
    return frame;
  }

  template <typename Done>
  void run(const Done& is_done, std::uint64_t each_sends_max) {
    while (!is_done()) {
      if (plan_.rate > 0 && timing) {
        send_due();
      } else {
        for (auto& device : devices_) {
          fill(*device, each_sends_max);
        }
      }
      std::array<epoll_event, 256> events;
      const int n =
          ::epoll_wait(epoll_, events.data(), events.size(), timing && plan_.rate > 0 ? 0 : 10);
      for (int i = 0; i < n; ++i) {
        auto& device = *static_cast<Device*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (device.client->link.has_output() && !device.client->link.flush()) {
          fail("the server closed a connection");
        }
        read(device);
      }
    }
  }

  std::uint32_t done_of(const Device& device) const {
    return plan_.subscribed ? std::min(device.acknowledged, device.answered) : device.acknowledged;
  }

  void fill(Device& device, std::uint64_t sends_max) {
    out_.clear();
    while (device.sent < sends_max && device.sent - done_of(device) < plan_.window &&
           !device.client->link.has_output()) {
      put(device, now_ns());
      if (out_.size() > 64 * 1024) {
        break;
      }
    }
    flush(device);
  }

  void send_due() {
    const double interval_ns = 1e9 / plan_.rate;
    const auto now = static_cast<double>(now_ns());
    while (due_ns_ <= now) {
      Device& device = *devices_[next_device_];
      next_device_ = (next_device_ + 1) % devices_.size();
      out_.clear();
      put(device, static_cast<std::uint64_t>(due_ns_));
      flush(device);
      due_ns_ += interval_ns;
    }
  }

  void put(Device& device, std::uint64_t due_ns) {
    std::string& frame = device.frames[device.next];
    device.next = (device.next + 1) % device.frames.size();
    const auto id = static_cast<std::uint16_t>(device.sent++ % 65535 + 1);
    ++sent_;
    device.due_ns[id] = due_ns;
    // The header of such a frame is its first byte and one or two of its length.
    const std::size_t header = (frame[1] & 0x80) != 0 ? 3 : 2;
    auto* bytes = reinterpret_cast<std::uint8_t*>(frame.data());
    const std::size_t topic_bytes = load_u16(bytes + header);
    store_u16(bytes + header + 2 + topic_bytes, id);
    if (!plan_.reads) {
      fmt::format_to(frame.end() - 3 - kDigits, "{}", 1'000'000'000 + sent_ % 1'000'000'000);
    }
    out_ += frame;
  }

  void flush(Device& device) {
    if (!out_.empty() && !device.client->link.send(out_)) {
      fail("the server closed a connection");
    }
  }

  void read(Device& device) {
    Link& link = device.client->link;
    auto& partial = link.partial();
    std::size_t have = partial.size();
    std::memcpy(buffer_.data(), partial.data(), have);
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
    const std::uint32_t before = done_of(device);
    acks_.clear();
    FrameView frame;
    while (next_frame(at, end, frame) == Framing::kWhole) {
      on_frame(device, frame);
      at += frame.size_bytes;
    }
    partial.assign(reinterpret_cast<const char*>(at), static_cast<std::size_t>(end - at));
    if (!acks_.empty()) {
      link.send(acks_);
    }
    done_ += done_of(device) - before;
  }

  void on_frame(Device& device, const FrameView& frame) {
    if (frame.kind() == kPuback) {
      ++device.acknowledged;
      if (timing) {
        latencies.add(now_ns() - device.due_ns[load_u16(frame.body().data())]);
      }
      return;
    }
    PublishView message;
    if (frame.kind() != kPublish ||
        !read_publish(frame, static_cast<int>(options_.version), message)) {
      fail("an unexpected packet");
    }
    const std::string_view topic(
        reinterpret_cast<const char*>(frame.body().data()) + 2, load_u16(frame.body().data())
    );
    if (topic.ends_with("/rejected")) {
      fail("a request was rejected");
    }
    device.answered += topic.ends_with("/accepted") ? 1 : 0;
    if (frame.qos() == 1) {
      put_ack(acks_, kPuback, message.packet_id);
    }
  }

  const Options& options_;
  const ShadowPlan plan_;
  int epoll_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::vector<std::uint8_t> buffer_;
  std::string out_;
  std::string acks_;
  std::uint64_t sent_ = 0;
  std::uint64_t done_ = 0;
  double due_ns_ = 0;
  std::size_t next_device_ = 0;
};

// Devices connect, things get their first shadow, then what `plan` says is measured.
void measure(const Options& options, TlsClient* tls, const ShadowPlan& plan, Record& record) {
  const std::uint32_t connections = options.clients > 0 ? options.clients : 100;
  auto clients = make_clients(Client::Role::kPublisher, connections);
  Dialer dialer(options, tls);
  dialer.open(clients);
  const std::uint32_t things_each = plan.things / connections;
  if (plan.subscribed) {
    for (std::uint32_t i = 0; i < connections; ++i) {
      for (std::uint32_t thing = i * things_each; thing < (i + 1) * things_each; ++thing) {
        clients[i]->filters.push_back(
            ShadowLoad::topic_of(thing) + (plan.reads ? "/get/+" : "/update/accepted")
        );
      }
    }
    dialer.subscribe(clients, 0);
  }
  {
    ShadowPlan creation = plan;
    creation.reads = false;
    creation.subscribed = plan.subscribed && !plan.reads;
    creation.rate = 0;
    ShadowLoad first(options, creation, clients);
    first.create();
  }
  ShadowLoad load(options, plan, clients);
  load.run_for(options.warmup);
  if (plan.rate > 0) {
    load.drain();  // what the closed loop has left in flight is not of the rate that is timed
  }
  const auto cpu = cpu_seconds(options.pid);
  const auto own_cpu = own_cpu_seconds();
  const auto start = now_ns();
  const auto done = load.done();
  load.timing = true;
  load.run_for(options.seconds);
  const double elapsed_s = static_cast<double>(now_ns() - start) * 1e-9;
  const auto count = static_cast<double>(load.done() - done);
  record.add("things", plan.things);
  record.add("connections", connections);
  record.add("requests", load.done() - done);
  record.add("rate", count / elapsed_s);
  record.add("cpu_us", (cpu_seconds(options.pid) - cpu) * 1e6 / count);
  record.add("generator_us", (own_cpu_seconds() - own_cpu) * 1e6 / count);
  record.add("p50_us", load.latencies.quantile_us(0.5));
  record.add("p99_us", load.latencies.quantile_us(0.99));
  record.add("max_us", load.latencies.max_us());
  load.timing = false;
  load.drain();
  record.add("undelivered", load.open());
  record.add("pss_kib", memory_of(options.pid).pss_kib);
}

ShadowPlan plan_of(const Options& options) {
  ShadowPlan plan;
  plan.things = options.count > 0 ? options.count : plan.things;
  plan.window = options.window > 0 ? options.window : plan.window;
  plan.rate = options.rate;
  return plan;
}

}  // namespace

// QoS 1 updates of whole documents; each is done when its PUBACK says that it is durable.
void shadow_updates(const Options& options, TlsClient* tls, Record& record) {
  ShadowPlan plan = plan_of(options);
  plan.subscribed = options.scenario == "shadow-answered";
  measure(options, tls, plan, record);
}

// A get is done when its answer has come.
void shadow_gets(const Options& options, TlsClient* tls, Record& record) {
  ShadowPlan plan = plan_of(options);
  plan.reads = plan.subscribed = true;
  measure(options, tls, plan, record);
}

}  // namespace iotcore::bench
