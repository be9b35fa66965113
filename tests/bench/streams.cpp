#include "tests/bench/streams.h"

#include "tests/bench/process.h"
#include "tests/bench/stream_worker.h"

#include <algorithm>
#include <thread>

namespace iotcore::bench {
namespace {

constexpr double kStallS = 3;
constexpr double kDrainS = 60;

struct Sample {
  std::uint64_t at_ns = 0;
  std::uint64_t deliveries = 0;
  std::uint64_t sent = 0;
  double server_cpu_s = 0;
  double own_cpu_s = 0;
};

std::uint64_t deliveries(const StreamRun& run) {
  std::uint64_t sum = 0;
  for (const auto& worker : run.workers) {
    sum += worker->deliveries();
  }
  return sum;
}

std::uint64_t sent(const StreamRun& run) {
  std::uint64_t sum = 0;
  for (const auto& worker : run.workers) {
    sum += worker->sent();
  }
  return sum;
}

std::uint64_t outstanding(const StreamRun& run) {
  std::uint64_t sum = 0;
  for (const auto& worker : run.workers) {
    const auto open = worker->outstanding();
    if (open == ~0ULL) {
      return open;
    }
    sum += open;
  }
  return sum;
}

Sample sample(const StreamRun& run) {
  return {
      .at_ns = now_ns(),
      .deliveries = deliveries(run),
      .sent = sent(run),
      .server_cpu_s = cpu_seconds(run.options.pid),
      .own_cpu_s = own_cpu_seconds()};
}

// Sleeps for `seconds`, or less when `done` says so or nothing has moved for too long; false in
// that last case.
template <typename Done>
bool sleep_while_moving(const StreamRun& run, double seconds, const Done& done) {
  const auto start = now_ns();
  auto moved_at = start;
  auto last = deliveries(run) + sent(run);
  while (!done()) {
    const auto now = now_ns();
    const double left_s = seconds - static_cast<double>(now - start) * 1e-9;
    if (left_s <= 0) {
      return true;
    }
    if (const auto moved = deliveries(run) + sent(run); moved != last) {
      last = moved;
      moved_at = now;
    } else if (static_cast<double>(now - moved_at) * 1e-9 > kStallS) {
      return false;
    }
    sleep_s(std::min(left_s, run.plan.limit > 0 || !run.publishing ? 0.001 : 0.1));
  }
  return true;
}

void measure(StreamRun& run, StreamResult& result) {
  const auto never = [] { return false; };
  const auto finished = [&run] { return run.plan.limit > 0 && outstanding(run) == 0; };
  constexpr double kLimitedRunS = 300;
  const bool limited = run.plan.limit > 0;
  result.stalled = !limited && !sleep_while_moving(run, run.options.warmup, never);
  const auto from = sample(run);
  run.measured_from_ns = from.at_ns;
  result.stalled = result.stalled ||
                   !sleep_while_moving(run, limited ? kLimitedRunS : run.options.seconds, finished);
  const auto to = sample(run);
  result.seconds = static_cast<double>(to.at_ns - from.at_ns) * 1e-9;
  result.sent = to.sent - from.sent;
  result.deliveries = to.deliveries - from.deliveries;
  result.server_cpu_s = to.server_cpu_s - from.server_cpu_s;
  result.own_cpu_s = to.own_cpu_s - from.own_cpu_s;
}

// Everything that was sent must arrive even now, when nobody looks at the rate; waits as long as
// anything still does.
void drain(StreamRun& run, StreamResult& result) {
  run.publishing = false;
  const auto done = [&run] { return outstanding(run) == 0; };
  sleep_while_moving(run, kDrainS, done);
  result.undelivered = outstanding(run);
}

}  // namespace

StreamResult run_streams(
    const Options& options, const StreamPlan& plan, Clients& publishers, Clients& subscribers
) {
  StreamRun run(options, plan);
  run.publishers = static_cast<std::uint32_t>(publishers.size());
  for (std::uint32_t i = 0; i < options.threads; ++i) {
    run.workers.push_back(std::make_unique<StreamWorker>(run, i, publishers, subscribers));
  }
  std::vector<std::thread> threads;
  for (auto& worker : run.workers) {
    threads.emplace_back([&worker] { worker->loop(); });
  }
  StreamResult result;
  measure(run, result);
  drain(run, result);
  run.stopping = true;
  for (auto& worker : run.workers) {
    worker->wake();
  }
  for (auto& thread : threads) {
    thread.join();
  }
  for (const auto& worker : run.workers) {
    result.disorder += worker->disorder();
    result.latencies.merge(worker->latencies());
  }
  return result;
}

void add_to(Record& record, const StreamResult& result) {
  const auto count = static_cast<double>(result.deliveries);
  record.add("measured_s", result.seconds);
  record.add("deliveries", result.deliveries);
  record.add("rate", count / result.seconds);
  record.add("cpu_us", result.server_cpu_s * 1e6 / count);
  record.add("server_cores", result.server_cpu_s / result.seconds);
  record.add("generator_cores", result.own_cpu_s / result.seconds);
  record.add("generator_us", result.own_cpu_s * 1e6 / count);
  record.add("undelivered", result.undelivered);
  record.add("disorder", result.disorder);
  record.add("stalled", result.stalled);
}

}  // namespace iotcore::bench
