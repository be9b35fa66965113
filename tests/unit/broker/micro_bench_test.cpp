#include "broker/mqtt/decoder.h"
#include "broker/mqtt/encoder.h"
#include "broker/topic.h"
#include "broker/topic_index.h"
#include "broker/topic_tree.h"
#include "tests/unit/broker/random.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

// Figures for single steps; not run unless asked for: unit_broker "[.bench]", release build.
namespace iotcore::broker {
namespace {

constexpr WorkerId worker(unsigned i) {
  return static_cast<WorkerId>(i);
}

// CPU time, so that what else the machine does counts for less.
std::chrono::duration<double, std::nano> cpu_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// Nanoseconds of one step, the best of five rounds.
template <typename F>
void measure(const char* name, std::size_t steps, F&& round) {
  double best = 1e18;
  for (int i = 0; i < 5; ++i) {
    const auto begin = cpu_time();
    round();
    const auto took = cpu_time() - begin;
    best = std::min(best, took.count() / static_cast<double>(steps));
  }
  std::printf("%-44s %8.1f ns\n", name, best);
}

template <typename T>
void keep(const T& value) {
  asm volatile("" : : "m"(value) : "memory");
}

void decode_all(const std::string& bytes, const mqtt::DecodeContext& context, int times) {
  mqtt::PublishView publish;
  for (int i = 0; i < times; ++i) {
    std::string_view rest = bytes;
    while (!rest.empty()) {
      const mqtt::FrameView frame = mqtt::next_frame(rest, context);
      if (mqtt::decode_publish(frame, context, publish)) {
        FAIL("a publish was refused");
      }
      keep(publish);
      rest.remove_prefix(frame.size_bytes);
    }
  }
}

std::string publishes(mqtt::Version version, mqtt::Qos qos, bool with_properties) {
  std::string out;
  const std::string payload(256, 'p');
  std::string pairs;
  mqtt::append_user_property(pairs, "unit", "celsius");
  for (int i = 0; i < 64; ++i) {
    const std::string topic = "factory/7/machine/" + std::to_string(1000 + i) + "/temperature";
    mqtt::PublishView publish;
    publish.topic = topic;
    publish.payload = payload;
    publish.qos = qos;
    publish.packet_id = static_cast<PacketId>(qos == mqtt::Qos::kAtMostOnce ? 0 : i + 1);
    if (with_properties) {
      publish.properties.set(mqtt::Property::kContentType, "application/json");
      publish.properties.set(mqtt::Property::kMessageExpiryInterval, 60U);
      publish.properties.set_repeated(pairs);
    }
    mqtt::encode(out, version, publish);
  }
  return out;
}

TEST_CASE("bench: codec", "[.bench]") {
  constexpr int kTimes = 20'000;

  struct Row {
    const char* name;
    mqtt::Version version;
    mqtt::Qos qos;
    bool with_properties;
  };

  for (const Row& row :
       {Row{"decode PUBLISH v3 QoS 0, 256 B", mqtt::Version::kV3, mqtt::Qos::kAtMostOnce, false},
        Row{"decode PUBLISH v3 QoS 1, 256 B", mqtt::Version::kV3, mqtt::Qos::kAtLeastOnce, false},
        Row{"decode PUBLISH v5 QoS 0, 256 B", mqtt::Version::kV5, mqtt::Qos::kAtMostOnce, false},
        Row{"decode PUBLISH v5 QoS 0, 3 properties",
            mqtt::Version::kV5,
            mqtt::Qos::kAtMostOnce,
            true}}) {
    const std::string bytes = publishes(row.version, row.qos, row.with_properties);
    measure(row.name, 64 * kTimes, [&] { decode_all(bytes, {.version = row.version}, kTimes); });
  }
  const mqtt::PublishCommon common{"factory/7/machine/1000/temperature", {}, 256};
  const std::uint32_t ids[] = {7};
  char buffer[256];
  measure("encode a head of its own (v5, id, expiry)", 1'000'000, [&] {
    for (int i = 0; i < 1'000'000; ++i) {
      const mqtt::PublishDelivery delivery{
          .qos = mqtt::Qos::kAtLeastOnce,
          .packet_id = static_cast<PacketId>(1 + (i & 0xFFF)),
          .expiry_s = 60U,
          .subscription_ids = ids};
      keep(*mqtt::write_publish_head(buffer, mqtt::Version::kV5, common, delivery));
    }
  });
}

// A fleet: each device has topics of its own; a fifth of the filters has wildcards.
std::string fleet_topic(unsigned i) {
  return "site/" + std::to_string(i % 100) + "/device/" + std::to_string(i) + "/state";
}

std::string fleet_filter(unsigned i) {
  const std::string device = "site/" + std::to_string(i % 100) + "/device/" + std::to_string(i);
  return i % 5 != 0 ? device + "/state" : i % 10 == 0 ? device + "/#" : device + "/+";
}

struct Counter {
  std::size_t count = 0;

  void on_subscribers(WorkerId, std::uint32_t) { ++count; }

  void on_group(const GroupView&) { ++count; }
};

TEST_CASE("bench: topic tree", "[.bench]") {
  for (const unsigned filters : {1'000U, 100'000U, 1'000'000U}) {
    QuiescentDomain domain(1);
    TopicTree tree(domain, {.hash_seed = 42});
    std::printf("-- %u filters\n", filters);
    const auto begin = cpu_time();
    for (unsigned i = 0; i < filters; ++i) {
      tree.add(fleet_filter(i), worker(0), i);
    }
    const auto took = cpu_time() - begin;
    std::printf("%-44s %8.1f ns\n", "add", took.count() / filters);
    std::printf(
        "%-44s %8.1f B\n",
        "memory a filter",
        static_cast<double>(tree.memory_bytes()) / static_cast<double>(tree.filter_count())
    );
    std::vector<std::string> topics;
    Random random(1);
    for (int i = 0; i < 100'000; ++i) {
      topics.push_back(fleet_topic(random.below(filters)));
    }
    domain.online(worker(0));
    Counter counter;
    measure("match, topics in random order", topics.size(), [&] {
      for (const std::string& topic : topics) {
        tree.match(topic, counter);
      }
    });
    CHECK(counter.count == 5 * topics.size());
    measure("match, one topic", 1'000'000, [&] {
      for (int i = 0; i < 1'000'000; ++i) {
        tree.match(topics[0], counter);
      }
    });
    domain.offline(worker(0));
    const auto end = cpu_time();
    for (unsigned i = 0; i < filters; ++i) {
      tree.remove(fleet_filter(i), worker(0));
    }
    const auto left = cpu_time() - end;
    std::printf("%-44s %8.1f ns\n", "remove", left.count() / filters);
  }
}

TEST_CASE("bench: topic index", "[.bench]") {
  constexpr unsigned kTopics = 1'000'000;
  TopicIndex index(true, 42);
  int value = 0;
  const auto begin = cpu_time();
  for (unsigned i = 0; i < kTopics; ++i) {
    index.set(fleet_topic(i), &value);
  }
  const auto took = cpu_time() - begin;
  std::printf("%-44s %8.1f ns\n", "set", took.count() / kTopics);
  std::printf(
      "%-44s %8.1f B\n", "memory a topic", static_cast<double>(index.memory_bytes()) / kTopics
  );
  std::size_t found = 0;
  measure("match all by #, a topic", kTopics, [&] {
    index.match("#", [&](const TopicIndex::Found&) {
      ++found;
      return true;
    });
  });
  CHECK(found == 5 * kTopics);
}

}  // namespace
}  // namespace iotcore::broker
