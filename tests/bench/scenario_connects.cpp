// Connections that come and go, and connections that only stay.

#include "tests/bench/dialer.h"
#include "tests/bench/process.h"
#include "tests/bench/scenarios.h"

#include <fmt/format.h>

namespace iotcore::bench {
namespace {

// Time for the server to finish what the last close left it to do.
constexpr double kSettleS = 0.3;

void leave(Client& client) {
  client.link.send(disconnect_packet());
  client.link.close();
}

}  // namespace

// Connects, --parallel at a time, until all are there, then lets all leave at once. tls-resume does
// so with the sessions that the server gave. Leaving is measured apart: it costs the kernel more
// than connecting does.
void connect_storm(const Options& options, TlsClient* tls, Record& record) {
  const bool resume = options.scenario == "tls-resume";
  if (resume && tls == nullptr) {
    fail("tls-resume needs --ca");
  }
  const std::uint32_t count = options.count > 0 ? options.count : tls != nullptr ? 2000 : 5000;
  Dialer dialer(options, tls);
  auto first = make_clients(Client::Role::kSubscriber, options.parallel);
  dialer.open(first, leave);
  if (resume && tls->sessions() == 0) {
    fail("the server hands out no TLS sessions");
  }
  dialer.resume_sessions(resume);
  auto clients = make_clients(Client::Role::kSubscriber, count);
  sleep_s(kSettleS);
  const auto cpu = cpu_seconds(options.pid);
  const auto own_cpu = own_cpu_seconds();
  const auto start = now_ns();
  dialer.open(clients);
  const double elapsed_s = static_cast<double>(now_ns() - start) * 1e-9;
  const double own_s = own_cpu_seconds() - own_cpu;
  sleep_s(kSettleS);
  const auto connected_cpu = cpu_seconds(options.pid);
  std::uint64_t resumed = 0;
  for (auto& client : clients) {
    resumed += client->link.resumed() ? 1 : 0;
    leave(*client);
  }
  sleep_s(kSettleS);
  record.add("tls", tls != nullptr);
  record.add("connects", count);
  record.add("resumed", resumed);
  record.add("rate", count / elapsed_s);
  record.add("cpu_us", (connected_cpu - cpu) * 1e6 / count);
  record.add("leave_cpu_us", (cpu_seconds(options.pid) - connected_cpu) * 1e6 / count);
  record.add("generator_us", own_s * 1e6 / count);
  const auto memory = memory_of(options.pid);
  record.add("rss_kib", memory.rss_kib);
  record.add("pss_kib", memory.pss_kib);
}

// What each of many connected and silent clients costs in memory, beyond what a first hundred have
// made the server set up.
void idle_memory(const Options& options, TlsClient* tls, Record& record) {
  const std::uint32_t count = options.clients > 0 ? options.clients
                              : tls != nullptr    ? 3000
                                                  : 10'000;
  Dialer dialer(options, tls);
  auto first = make_clients(Client::Role::kSubscriber, 100);
  dialer.open(first);
  auto clients = make_clients(Client::Role::kPublisher, count);
  sleep_s(kSettleS);
  const auto before = memory_of(options.pid);
  dialer.open(clients);
  sleep_s(1 + kSettleS);
  const auto after = memory_of(options.pid);
  const auto cpu = cpu_seconds(options.pid);
  sleep_s(1);
  record.add("tls", tls != nullptr);
  record.add("connections", count);
  record.add("rss_kib_each", (after.rss_kib - before.rss_kib) / count);
  record.add("pss_kib_each", (after.pss_kib - before.pss_kib) / count);
  record.add("own_kib_each", (after.own_kib - before.own_kib) / count);
  record.add("idle_cores", cpu_seconds(options.pid) - cpu);
  record.add("rss_kib", after.rss_kib);
  record.add("pss_kib", after.pss_kib);
}

}  // namespace iotcore::bench
