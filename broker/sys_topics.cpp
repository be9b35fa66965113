#include "broker/sys_topics.h"

#include "broker/retained.h"
#include "broker/topic_tree.h"
#include "broker/worker_broker.h"
#include "broker/worker_sessions.h"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <unistd.h>

namespace iotcore::broker {
namespace {

constexpr std::string_view kPrefix = "$SYS/broker/";
constexpr std::array<int, 3> kLoadMinutes = {1, 5, 15};

std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  statm >> size >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

double seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}

}  // namespace

SysTopics::SysTopics(WorkerBroker& worker)
    : worker_(worker),
      started_(worker.shared().clock().now()),
      next_(started_),
      last_published_(started_),
      loads_{
          Load{"publish/received"},
          Load{"publish/sent"},
          Load{"publish/dropped"},
          Load{"connections"},
          Load{"bytes/received"},
          Load{"bytes/sent"}} {}

SysTopics::Totals SysTopics::totals_of(WorkerBroker& worker) {
  const WorkerCounters& counters = worker.counters();
  Totals totals;
  totals.connected = worker.clients().connected();
  totals.disconnected = worker.sessions().offline_count();
  totals.expired = counters.sessions_expired.value();
  totals.subscriptions = worker.subscribers().subscription_count();
  totals.received = counters.received.value();
  totals.delivered = counters.delivered.value();
  totals.dropped = counters.dropped_queue_full.value() + counters.dropped_slow.value() +
                   counters.dropped_mailbox.value() + counters.dropped_too_large.value() +
                   counters.dropped_expired.value();
  totals.connects = counters.connects.value();
  if (const WorkerBroker::Traffic& traffic = worker.traffic(); traffic.received != nullptr) {
    totals.bytes_received = traffic.received->value();
    totals.bytes_sent = traffic.sent->value();
  }
  return totals;
}

void SysTopics::tick() {
  const std::uint32_t interval_s = worker_.options().sys_topics_interval_s;
  const MonotonicTime now = worker_.shared().clock().now();
  if (interval_s == 0 || now < next_ || answers_missing_ != 0) {
    return;
  }
  next_ = now + std::chrono::seconds(interval_s);
  Workers& workers = worker_.shared().workers();
  totals_ = {};
  answers_missing_ = workers.count();
  for (std::size_t i = 0; i < workers.count(); ++i) {
    const auto id = static_cast<WorkerId>(i);
    workers.executor(id).post([this, &workers, id] {
      worker_.executor().post([this, totals = totals_of(workers.broker(id))] { add(totals); });
    });
  }
}

void SysTopics::add(const Totals& totals) {
  totals_.connected += totals.connected;
  totals_.disconnected += totals.disconnected;
  totals_.expired += totals.expired;
  totals_.subscriptions += totals.subscriptions;
  totals_.received += totals.received;
  totals_.delivered += totals.delivered;
  totals_.dropped += totals.dropped;
  totals_.connects += totals.connects;
  totals_.bytes_received += totals.bytes_received;
  totals_.bytes_sent += totals.bytes_sent;
  if (--answers_missing_ == 0) {
    publish_all();
  }
}

void SysTopics::publish_all() {
  const MonotonicTime now = worker_.shared().clock().now();
  const RetainedMessages& retained = worker_.shared().retained();
  const double minutes = seconds(now - std::exchange(last_published_, now)) / 60;
  connected_max_ = std::max(connected_max_, totals_.connected);
  publish("version", "iotcore");
  publish(
      "uptime", std::to_string(static_cast<std::uint64_t>(seconds(now - started_))) + " seconds"
  );
  publish("clients/connected", std::to_string(totals_.connected));
  publish("clients/active", std::to_string(totals_.connected));
  publish("clients/disconnected", std::to_string(totals_.disconnected));
  publish("clients/inactive", std::to_string(totals_.disconnected));
  publish("clients/total", std::to_string(totals_.connected + totals_.disconnected));
  publish("clients/expired", std::to_string(totals_.expired));
  publish("clients/maximum", std::to_string(connected_max_));
  publish("subscriptions/count", std::to_string(totals_.subscriptions));
  publish("shared_subscriptions/count", std::to_string(worker_.shared().tree().group_count()));
  publish("publish/messages/received", std::to_string(totals_.received));
  publish("publish/messages/sent", std::to_string(totals_.delivered));
  publish("publish/messages/dropped", std::to_string(totals_.dropped));
  publish("bytes/received", std::to_string(totals_.bytes_received));
  publish("bytes/sent", std::to_string(totals_.bytes_sent));
  publish("retained messages/count", std::to_string(retained.count()));
  publish("store/messages/count", std::to_string(retained.count()));
  publish("store/messages/bytes", std::to_string(retained.bytes()));
  publish("heap/current", std::to_string(resident_bytes()));
  publish_load(loads_[0], totals_.received, minutes);
  publish_load(loads_[1], totals_.delivered, minutes);
  publish_load(loads_[2], totals_.dropped, minutes);
  publish_load(loads_[3], totals_.connects, minutes);
  publish_load(loads_[4], totals_.bytes_received, minutes);
  publish_load(loads_[5], totals_.bytes_sent, minutes);
}

void SysTopics::publish_load(Load& load, std::uint64_t total, double minutes) {
  const std::uint64_t before = std::exchange(load.last, total);
  if (minutes <= 0) {
    return;
  }
  const double rate = static_cast<double>(total - before) / minutes;
  for (std::size_t i = 0; i < kLoadMinutes.size(); ++i) {
    double& average = load.per_minute[i];
    average += (rate - average) * (1 - std::exp(-minutes / kLoadMinutes[i]));
    std::array<char, 32> text = {};
    const int size = std::snprintf(text.data(), text.size(), "%.2f", average);
    std::string name = "load/";
    name.append(load.name).append("/").append(std::to_string(kLoadMinutes[i])).append("min");
    publish(name, std::string(text.data(), static_cast<std::size_t>(std::max(size, 0))));
  }
}

void SysTopics::publish(std::string_view name, std::string value) {
  std::string& last = published_[std::string(name)];
  if (last == value) {
    return;
  }
  last = std::move(value);
  const std::string topic = std::string(kPrefix).append(name);
  PublishView view;
  view.topic = topic;
  view.payload = last;
  view.origin = Origin::kService;
  ignore_error(worker_.shared().retained().set(view), "statistics may be missing when memory is");
  OwnedPublish owned;
  owned.message = Message::make(view);
  worker_.publish_later(std::move(owned));
}

}  // namespace iotcore::broker
