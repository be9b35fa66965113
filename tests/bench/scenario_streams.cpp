// Messages from publishers to subscribers: pairs, fan-in, fan-out, many publishers on one topic,
// latency.

#include "tests/bench/disturbance.h"
#include "tests/bench/process.h"
#include "tests/bench/scenarios.h"
#include "tests/bench/streams.h"

namespace iotcore::bench {
namespace {

struct Parties {
  Clients publishers;
  Clients subscribers;
};

std::uint32_t or_default(std::uint32_t value, std::uint32_t usual) {
  return value > 0 ? value : usual;
}

StreamPlan plan_of(const Options& options, Wiring wiring, std::uint32_t window) {
  StreamPlan plan;
  plan.wiring = wiring;
  plan.window = or_default(options.window, window);
  plan.payload_bytes = options.payload;
  plan.qos = static_cast<int>(options.qos);
  return plan;
}

// Connects and subscribes everybody, streams, and adds what every such scenario reports.
StreamResult stream(
    const Options& options, TlsClient* tls, Parties& parties, const StreamPlan& plan, Record& record
) {
  Dialer dialer(options, tls);
  dialer.open(parties.subscribers);
  dialer.subscribe(parties.subscribers, plan.qos);
  dialer.open(parties.publishers);
  record.add("publishers", parties.publishers.size());
  record.add("subscribers", parties.subscribers.size());
  record.add("window", plan.window);
  auto result = run_streams(options, plan, parties.publishers, parties.subscribers);
  add_to(record, result);
  const auto memory = memory_of(options.pid);
  record.add("rss_kib", memory.rss_kib);
  record.add("pss_kib", memory.pss_kib);
  return result;
}

Parties make_pairs(std::uint32_t count, StreamPlan& plan) {
  Parties parties = {
      make_clients(Client::Role::kPublisher, count),
      make_clients(Client::Role::kSubscriber, count)};
  plan.topics = numbered_topics("bench/pair", count);
  for (std::uint32_t i = 0; i < count; ++i) {
    parties.subscribers[i]->filters.emplace_back(plan.topics[i]);
  }
  return parties;
}

}  // namespace

// p2p is 50 pairs with 64 messages in flight each; single is 500 with one each, so that every
// message arrives alone.
void pairs(const Options& options, TlsClient* tls, Record& record) {
  const bool single = options.scenario == "single";
  auto plan = plan_of(options, Wiring::kPair, single ? 1 : 64);
  auto parties = make_pairs(or_default(options.clients, single ? 500 : 50), plan);
  stream(options, tls, parties, plan, record);
}

// Many publishers, each on its own topic, and one subscriber of them all by a wildcard.
void fan_in(const Options& options, TlsClient* tls, Record& record) {
  auto plan = plan_of(options, Wiring::kAll, 32);
  const auto count = or_default(options.clients, 100);
  Parties parties = {
      make_clients(Client::Role::kPublisher, count), make_clients(Client::Role::kSubscriber, 1)};
  plan.topics = numbered_topics("bench/in", count);
  parties.subscribers[0]->filters = {"bench/in/#"};
  stream(options, tls, parties, plan, record);
}

// One publisher, many subscribers of its topic.
void fan_out(const Options& options, TlsClient* tls, Record& record) {
  const auto plan_window = options.payload >= 8192 ? 16U : 64U;
  auto plan = plan_of(options, Wiring::kAll, plan_window);
  Parties parties = {
      make_clients(Client::Role::kPublisher, or_default(options.publishers, 1)),
      make_clients(Client::Role::kSubscriber, or_default(options.clients, 200))};
  plan.topics = numbered_topics("bench/out", 1);
  for (auto& subscriber : parties.subscribers) {
    subscriber->filters = {std::string(plan.topics[0])};
  }
  stream(options, tls, parties, plan, record);
}

// Many publishers of one and the same topic, which one client subscribes to.
void one_topic(const Options& options, TlsClient* tls, Record& record) {
  auto plan = plan_of(options, Wiring::kAll, 4);
  Parties parties = {
      make_clients(Client::Role::kPublisher, or_default(options.publishers, 1000)),
      make_clients(Client::Role::kSubscriber, or_default(options.clients, 1))};
  plan.topics = numbered_topics("bench/one", 1);
  for (auto& subscriber : parties.subscribers) {
    subscriber->filters = {std::string(plan.topics[0])};
  }
  stream(options, tls, parties, plan, record);
}

// Pairs at a fixed rate, each message timed from the moment it was due, whether or not it could be
// sent then: a server that pauses pays for every message that it kept waiting.
void latency(const Options& options, TlsClient* tls, Record& record) {
  auto plan = plan_of(options, Wiring::kPair, 64);
  plan.rate = options.rate > 0 ? options.rate : 20'000;
  auto parties = make_pairs(or_default(options.clients, 50), plan);
  record.add("offered", plan.rate);
  const auto result = stream(options, tls, parties, plan, record);
  record.add("p50_us", result.latencies.quantile_us(0.5));
  record.add("p99_us", result.latencies.quantile_us(0.99));
  record.add("p999_us", result.latencies.quantile_us(0.999));
  record.add("max_us", result.latencies.max_us());
}

// What becomes of a steady group's latency when others misbehave. Disturber and generator share a core, so the generator
// does not spin here: it sleeps until something is due, and goes before the other when it wakes.
void neighbours(const Options& options, TlsClient* tls, Record& record) {
  auto plan = plan_of(options, Wiring::kPair, 64);
  plan.rate = options.rate > 0 ? options.rate : 5'000;
  plan.sleeps = true;
  auto parties = make_pairs(or_default(options.clients, 50), plan);
  Disturbance disturbance(options, tls);
  Dialer dialer(options, nullptr);
  dialer.open(parties.subscribers);
  dialer.subscribe(parties.subscribers, plan.qos);
  dialer.open(parties.publishers);
  const auto alone = run_streams(options, plan, parties.publishers, parties.subscribers);
  disturbance.start();
  const auto before = disturbance.count();
  const auto start = now_ns();
  const auto result = run_streams(options, plan, parties.publishers, parties.subscribers);
  const double elapsed_s = static_cast<double>(now_ns() - start) * 1e-9;
  add_to(record, result);
  record.add("disturbed_per_s", static_cast<double>(disturbance.count() - before) / elapsed_s);
  record.add("alone_p50_us", alone.latencies.quantile_us(0.5));
  record.add("alone_p99_us", alone.latencies.quantile_us(0.99));
  record.add("p50_us", result.latencies.quantile_us(0.5));
  record.add("p99_us", result.latencies.quantile_us(0.99));
  record.add("p99_times", result.latencies.quantile_us(0.99) / alone.latencies.quantile_us(0.99));
}

}  // namespace iotcore::bench
