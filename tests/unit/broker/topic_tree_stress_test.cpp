#include "broker/topic.h"
#include "broker/topic_tree.h"
#include "tests/unit/broker/random.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace iotcore::broker {
namespace {

constexpr WorkerId worker(unsigned i) {
  return static_cast<WorkerId>(i);
}

constexpr unsigned kReaders = 3;
constexpr unsigned kWriters = 2;
// Slots tell which filter an entry belongs to: kind * 1000 + i.
constexpr unsigned kFilters = 400;

// Many names at one level, so that tables grow, shrink and are rebuilt, and wildcards and groups in
// between.
std::string filter_of(unsigned i) {
  const std::string n = std::to_string(i);
  switch (i % 5) {
    case 0:
      return "site/" + n + "/temperature";
    case 1:
      return "site/+/" + n;
    case 2:
      return "site/" + n + "/#";
    case 3:
      return "site/" + std::to_string(i % 50) + "/+";
    default:
      return "+/" + std::to_string(i % 50) + "/#";
  }
}

std::string topic_of(unsigned i) {
  return "site/" + std::to_string(i) + (i % 3 == 0 ? "/temperature" : "/" + std::to_string(i % 40));
}

struct Checker {
  std::string_view topic;
  unsigned wrong = 0;
  unsigned permanent = 0;

  void on_subscribers(WorkerId w, std::uint32_t slot) {
    if (slot == 1'000'000) {
      ++permanent;
      return;
    }
    const bool matches = topic_matches(filter_of(slot), topic);
    wrong += matches && index(w) == slot % kWriters ? 0 : 1;
  }

  void on_group(const GroupView& group) {
    wrong += group.workers.empty() ? 1 : 0;
    for (const GroupMembers& members : group.workers) {
      const bool matches = topic_matches(filter_of(members.slot), topic);
      wrong += matches && members.member_count > 0 && group.share_name == "group" ? 0 : 1;
    }
  }
};

void write(TopicTree& tree, QuiescentDomain& domain, unsigned writer, unsigned steps) {
  Random random(writer + 1);
  domain.online(worker(kReaders + writer));
  for (unsigned step = 0; step < steps; ++step) {
    // Its own slots: a filter is one writer's, though the nodes and leaves are shared.
    const unsigned i = random.below(kFilters) / kWriters * kWriters + writer;
    const std::string filter = filter_of(i);
    switch (random.below(5)) {
      case 0:
      case 1:
        tree.add(filter, worker(writer), i);
        break;
      case 2:
        tree.remove(filter, worker(writer));
        break;
      case 3:
        tree.set_group(filter, "group", {worker(writer), i, 1 + random.below(3)});
        break;
      default:
        tree.set_group(filter, "group", {worker(writer), i, 0});
    }
    domain.quiescent(worker(kReaders + writer));
  }
  domain.offline(worker(kReaders + writer));
}

TEST_CASE("stress: matches beside writers report only what is true, and always what is permanent") {
  QuiescentDomain domain(kReaders + kWriters);
  TopicTree tree(domain);
  // Filters that nobody takes away, in the midst of those that come and go.
  tree.add("site/7/#", worker(9), 1'000'000);
  tree.add("site/+/temperature", worker(9), 1'000'000);
  tree.add("#", worker(9), 1'000'000);
  std::atomic<unsigned> writing{kWriters};
  std::atomic<unsigned> wrong{0};
  std::atomic<std::uint64_t> matches{0};
  std::vector<std::thread> threads;
  for (unsigned r = 0; r < kReaders; ++r) {
    threads.emplace_back([&, r] {
      Random random(100 + r);
      domain.online(worker(r));
      for (std::uint64_t n = 0; writing.load(std::memory_order_relaxed) > 0; ++n) {
        const unsigned i = random.below(kFilters);
        const std::string topic = topic_of(i);
        Checker checker{topic};
        tree.match(topic, checker);
        const unsigned expected = 1 + (i == 7 ? 1 : 0) + (i % 3 == 0 ? 1 : 0);
        if (checker.wrong != 0 || checker.permanent != expected) {
          wrong.fetch_add(1);
        }
        matches.fetch_add(1, std::memory_order_relaxed);
        if (n % 16 == 0) {
          domain.offline(worker(r));
          domain.online(worker(r));
        } else {
          domain.quiescent(worker(r));
        }
      }
      domain.offline(worker(r));
    });
  }
  for (unsigned w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      write(tree, domain, w, 20'000);
      writing.fetch_sub(1);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(wrong == 0);
  CHECK(matches > 0);
  for (unsigned i = 0; i < kFilters; ++i) {
    tree.remove(filter_of(i), worker(i % kWriters));
    tree.set_group(filter_of(i), "group", {worker(i % kWriters), 0, 0});
  }
  CHECK(tree.filter_count() == 3);
  tree.remove("site/7/#", worker(9));
  tree.remove("site/+/temperature", worker(9));
  tree.remove("#", worker(9));
  tree.collect();
  tree.collect();
  CHECK(tree.memory_bytes() == 0);
}

}  // namespace
}  // namespace iotcore::broker
