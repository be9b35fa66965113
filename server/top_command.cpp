#include "base/clock.h"
#include "server/admin_client.h"
#include "server/commands.h"
#include "server/metrics_sample.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <thread>
#include <unistd.h>

namespace iotcore::server {
namespace {

constexpr std::size_t kRowsMax = 15;

// 1234567 as "1.23 M".
std::string short_number(double value, double step = 1000) {
  constexpr std::array<const char*, 5> kUnits = {"", " k", " M", " G", " T"};
  std::size_t unit = 0;
  while (value >= step && unit + 1 < kUnits.size()) {
    value /= step;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f}", value) : fmt::format("{:.3g}{}", value, kUnits[unit]);
}

std::string short_bytes(double value) {
  return short_number(value, 1024) + (value >= 1024 ? "iB" : " B");
}

// Two samples and the time between them.
struct Span {
  MetricsSample before;
  MetricsSample now;
  double seconds = 1;

  double rate(std::string_view name) const { return (now.sum(name) - before.sum(name)) / seconds; }

  std::map<std::string, double> rates(std::string_view name, std::string_view label) const {
    std::map<std::string, double> rates = now.by(name, label);
    for (const auto& [value, count] : before.by(name, label)) {
      if (const auto found = rates.find(value); found != rates.end()) {
        found->second -= count;
      }
    }
    for (auto& [value, rate] : rates) {
      rate /= seconds;
    }
    return rates;
  }
};

std::string totals(const Span& span) {
  const auto per_second = [&span](std::string_view name) { return short_number(span.rate(name)); };
  return fmt::format(
      "connections {:>8}   opened {:>8}/s   sessions kept {:>8}   memory {:>9} of {}\n"
      "messages in {:>8}/s delivered {:>6}/s   dropped {:>12}/s   retained {:>7}\n"
      "bytes in {:>11}/s   out {:>11}/s   commits {:>12}/s   shadow requests {:>8}/s\n",
      short_number(span.now.sum("iotcore_connections_open")),
      per_second("iotcore_connections_accepted_total"),
      short_number(span.now.sum("iotcore_sessions_persistent")),
      short_bytes(span.now.sum("iotcore_memory_used_bytes")),
      short_bytes(span.now.sum("iotcore_memory_ceiling_bytes")),
      per_second("iotcore_messages_received_total"),
      per_second("iotcore_messages_delivered_total"),
      per_second("iotcore_messages_dropped_total"),
      short_number(span.now.sum("iotcore_retained_messages")),
      short_bytes(span.rate("iotcore_bytes_received_total")),
      short_bytes(span.rate("iotcore_bytes_sent_total")),
      per_second("iotcore_store_commits_total"),
      per_second("iotcore_shadow_requests_total")
  );
}

// The busiest rules.
std::string rules(const Span& span) {
  const auto matched = span.rates("iotcore_rule_matched_total", "rule");
  const auto fired = span.rates("iotcore_rule_fired_total", "rule");
  const auto failed = span.rates("iotcore_rule_failed_total", "rule");
  std::vector<std::pair<std::string, double>> rows(matched.begin(), matched.end());
  std::ranges::stable_sort(rows, std::ranges::greater(), &decltype(rows)::value_type::second);
  std::string out =
      fmt::format("\n{:40} {:>12} {:>12} {:>12}\n", "RULE", "MATCHED/s", "FIRED/s", "FAILED/s");
  for (std::size_t i = 0; i < rows.size() && i < kRowsMax; ++i) {
    const auto of = [&rows, i](const std::map<std::string, double>& rates) {
      const auto found = rates.find(rows[i].first);
      return short_number(found == rates.end() ? 0 : found->second);
    };
    out += fmt::format(
        "{:40.40} {:>12} {:>12} {:>12}\n", rows[i].first, of(matched), of(fired), of(failed)
    );
  }
  return rows.empty() ? std::string() : out;
}

// The sinks in which most waits.
std::string sinks(const Span& span) {
  const auto waiting = span.now.by("iotcore_sink_queue_records", "sink");
  const auto bytes = span.now.by("iotcore_sink_queue_bytes", "sink");
  const auto up = span.now.by("iotcore_sink_up", "sink");
  std::vector<std::pair<std::string, double>> rows(waiting.begin(), waiting.end());
  std::ranges::stable_sort(rows, std::ranges::greater(), &decltype(rows)::value_type::second);
  std::string out =
      fmt::format("\n{:40} {:>12} {:>12} {:>12}\n", "SINK", "STATE", "WAITING", "BYTES");
  for (std::size_t i = 0; i < rows.size() && i < kRowsMax; ++i) {
    const auto of = [&rows, i](const std::map<std::string, double>& values) {
      const auto found = values.find(rows[i].first);
      return found == values.end() ? 0 : found->second;
    };
    out += fmt::format(
        "{:40.40} {:>12} {:>12} {:>12}\n",
        rows[i].first,
        of(up) > 0 ? "up" : "DOWN",
        short_number(of(waiting)),
        short_bytes(of(bytes))
    );
  }
  return rows.empty() ? std::string() : out;
}

Result<MetricsSample> take_sample(const std::filesystem::path& data_dir) {
  IOTCORE_ASSIGN(const net::HttpResponse answer, ask_admin(data_dir, "/metrics"));
  if (answer.status != 200) {
    return fail(Errc::kUnavailable, answer.body);
  }
  return MetricsSample::parse(answer.body);
}

}  // namespace

Status run_top(const Config& config, const TopOptions& options) {
  const SystemClock clock;
  const bool redraws = ::isatty(STDOUT_FILENO) == 1;
  Span span;
  IOTCORE_ASSIGN(span.now, take_sample(config.data_dir));
  MonotonicTime at = clock.now();
  for (std::uint32_t i = 0; options.count == 0 || i < options.count; ++i) {
    std::this_thread::sleep_for(std::chrono::duration<double>(options.interval_s));
    span.before = std::exchange(span.now, {});
    IOTCORE_ASSIGN(span.now, take_sample(config.data_dir));
    const MonotonicTime before = std::exchange(at, clock.now());
    span.seconds = std::chrono::duration<double>(at - before).count();
    const std::string screen = fmt::format(
                                   "iotcore  {:%H:%M:%S} UTC\n\n",
                                   fmt::gmtime(std::chrono::system_clock::to_time_t(clock.wall()))
                               ) +
                               totals(span) + rules(span) + sinks(span);
    std::printf("%s%s", redraws ? "\x1b[H\x1b[2J" : "", screen.c_str());
    std::fflush(stdout);
  }
  return {};
}

}  // namespace iotcore::server
