// What the server keeps by topic: subscriptions and retained messages.

#include "tests/bench/process.h"
#include "tests/bench/scenarios.h"
#include "tests/bench/streams.h"

#include <fmt/format.h>

#include <sys/epoll.h>
#include <unistd.h>

namespace iotcore::bench {
namespace {

// The filter of one topic, site/CLIENT/NUMBER/value. One in five has a wildcard, of three kinds in
// turn; each matches its own topic alone, so that every message has exactly one receiver.
std::string filter_for(std::uint32_t client, std::uint32_t number) {
  if (number % 5 != 0) {
    return fmt::format("site/{:05}/{:05}/value", client, number);
  }
  switch (number / 5 % 3) {
    case 0:
      return fmt::format("site/{:05}/{:05}/+", client, number);
    case 1:
      return fmt::format("site/{:05}/{:05}/#", client, number);
    default:
      return fmt::format("+/{:05}/{:05}/value", client, number);
  }
}

StreamPlan subscribe_plan(const Options& options, Clients& subscribers) {
  StreamPlan plan;
  plan.wiring = Wiring::kAny;
  plan.window = options.window > 0 ? options.window : 32;
  plan.payload_bytes = options.payload;
  plan.qos = static_cast<int>(options.qos);
  for (auto& client : subscribers) {
    for (std::uint32_t number = 0; number < options.filters; ++number) {
      client->filters.push_back(filter_for(client->index, number));
      plan.topics.add(fmt::format("site/{:05}/{:05}/value", client->index, number));
    }
  }
  plan.order = shuffled(plan.topics.size());
  return plan;
}

// Reads `count` retained messages that a subscription to everything brings; CPU and time from
// SUBSCRIBE to the last of them.
class RetainedReader {
 public:
  explicit RetainedReader(const Options& options) : options_(options), buffer_(256 * 1024) {}

  double read(Client& client, std::uint32_t count) {
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    client.link.move_to(epoll, &client);
    const auto start = now_ns();
    const std::vector<std::string> everything = {"#"};
    const int version = static_cast<int>(options_.version);
    client.link.send(subscribe_packet(1, everything, static_cast<int>(options_.qos), version));
    count_ = 0;
    while (count_ < count) {
      epoll_event event = {};
      if (::epoll_wait(epoll, &event, 1, 5000) < 1) {
        fail(fmt::format("only {} of {} retained messages came", count_, count));
      }
      receive(client);
    }
    ::close(epoll);
    return static_cast<double>(now_ns() - start) * 1e-9;
  }

 private:
  void receive(Client& client) {
    auto& partial = client.link.partial();
    std::copy(partial.begin(), partial.end(), buffer_.begin());
    const auto have = partial.size();
    const auto got = client.link.receive(buffer_.data() + have, buffer_.size() - have);
    if (got == 0) {
      fail("the server closed the connection that fetches retained messages");
    }
    const std::uint8_t* at = buffer_.data();
    const std::uint8_t* end = at + have + (got > 0 ? static_cast<std::size_t>(got) : 0);
    std::string acks;
    FrameView frame;
    while (next_frame(at, end, frame) == Framing::kWhole) {
      PublishView message;
      if (frame.kind() == kPublish &&
          read_publish(frame, static_cast<int>(options_.version), message)) {
        ++count_;
        if (frame.qos() > 0) {
          put_ack(acks, frame.qos() == 1 ? kPuback : kPubrec, message.packet_id);
        }
      } else if (frame.kind() == (kPubrel & 0xF0)) {
        put_ack(acks, kPubcomp, load_u16(frame.body().data()));
      }
      at += frame.size_bytes;
    }
    partial.assign(reinterpret_cast<const char*>(at), static_cast<std::size_t>(end - at));
    if (!acks.empty()) {
      client.link.send(acks);
    }
  }

  const Options& options_;
  std::vector<std::uint8_t> buffer_;
  std::uint32_t count_ = 0;
};

}  // namespace

// Subscribes --clients clients to --filters filters each, then publishes to their topics in
// shuffled order: each message goes to another client than the one before.
void subscriptions(const Options& options, TlsClient* tls, Record& record) {
  auto subscribers =
      make_clients(Client::Role::kSubscriber, options.clients > 0 ? options.clients : 1000);
  auto publishers =
      make_clients(Client::Role::kPublisher, options.publishers > 0 ? options.publishers : 20);
  const auto plan = subscribe_plan(options, subscribers);
  Dialer dialer(options, tls);
  dialer.open(subscribers);
  dialer.open(publishers);
  sleep_s(0.3);
  const auto before = memory_of(options.pid);
  const auto cpu = cpu_seconds(options.pid);
  const auto start = now_ns();
  const auto filters = static_cast<double>(dialer.subscribe(subscribers, plan.qos));
  const double elapsed_s = static_cast<double>(now_ns() - start) * 1e-9;
  const double cpu_s = cpu_seconds(options.pid) - cpu;
  sleep_s(0.3);
  const auto after = memory_of(options.pid);
  record.add("subscriptions", static_cast<std::uint64_t>(filters));
  record.add("subscribe_rate", filters / elapsed_s);
  record.add("subscribe_cpu_us", cpu_s * 1e6 / filters);
  record.add("bytes_each", (after.own_kib - before.own_kib) * 1024 / filters);
  record.add("publishers", publishers.size());
  record.add("subscribers", subscribers.size());
  record.add("window", plan.window);
  add_to(record, run_streams(options, plan, publishers, subscribers));
  record.add("rss_kib", after.rss_kib);
  record.add("pss_kib", after.pss_kib);
}

// Stores --count topics at QoS 1 from twenty publishers, then fetches them all with `#`, three
// times.
void retained(const Options& options, TlsClient* tls, Record& record) {
  constexpr std::uint32_t kPublishers = 20;
  constexpr int kFetches = 3;
  const std::uint32_t limit = (options.count > 0 ? options.count : 100'000) / kPublishers;
  const std::uint32_t count = limit * kPublishers;
  StreamPlan plan;
  plan.wiring = Wiring::kNobody;
  plan.window = options.window > 0 ? options.window : 64;
  plan.payload_bytes = options.payload;
  plan.qos = 1;
  plan.retain = true;
  plan.topics = numbered_topics("bench/kept", count);
  plan.order = shuffled(count);
  plan.limit = limit;
  auto publishers = make_clients(Client::Role::kPublisher, kPublishers);
  auto nobody = make_clients(Client::Role::kSubscriber, 0);
  auto readers = make_clients(Client::Role::kSubscriber, kFetches);
  Dialer dialer(options, tls);
  dialer.open(publishers);
  dialer.open(readers);
  sleep_s(0.3);
  const auto before = memory_of(options.pid);
  const auto stored = run_streams(options, plan, publishers, nobody);
  if (stored.stalled || stored.undelivered > 0) {
    fail(fmt::format("{} of {} messages were not stored", stored.undelivered, count));
  }
  sleep_s(0.3);
  const auto after = memory_of(options.pid);
  record.add("messages", count);
  record.add("store_rate", count / stored.seconds);
  record.add("store_cpu_us", stored.server_cpu_s * 1e6 / count);
  record.add("bytes_each", (after.own_kib - before.own_kib) * 1024 / count - options.payload);
  double fetch_s = 0;
  const auto cpu = cpu_seconds(options.pid);
  RetainedReader reader(options);
  for (auto& client : readers) {
    fetch_s += reader.read(*client, count);
  }
  record.add("rate", kFetches * static_cast<double>(count) / fetch_s);
  record.add(
      "cpu_us", (cpu_seconds(options.pid) - cpu) * 1e6 / (kFetches * static_cast<double>(count))
  );
  record.add("rss_kib", after.rss_kib);
  record.add("pss_kib", after.pss_kib);
}

}  // namespace iotcore::bench
