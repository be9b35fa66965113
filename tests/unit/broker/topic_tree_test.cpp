#include "broker/topic_tree.h"

#include "broker/topic.h"
#include "broker/topic_index.h"
#include "tests/unit/broker/random.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace iotcore::broker {
namespace {

constexpr WorkerId worker(unsigned i) {
  return static_cast<WorkerId>(i);
}

struct GroupSeen {
  std::string share_name;
  std::vector<std::tuple<unsigned, std::uint32_t, std::uint32_t>> workers;

  friend auto operator<=>(const GroupSeen&, const GroupSeen&) = default;
};

// What a match reported, in an order of its own.
struct Seen {
  std::vector<std::pair<unsigned, std::uint32_t>> subscribers;
  std::vector<GroupSeen> groups;

  void on_subscribers(WorkerId w, std::uint32_t slot) {
    subscribers.emplace_back(static_cast<unsigned>(w), slot);
  }

  void on_group(const GroupView& group) {
    GroupSeen& seen = groups.emplace_back(GroupSeen{std::string(group.share_name), {}});
    for (const GroupMembers& m : group.workers) {
      seen.workers.emplace_back(static_cast<unsigned>(m.worker), m.slot, m.member_count);
    }
    std::sort(seen.workers.begin(), seen.workers.end());
  }

  Seen sorted() {
    std::sort(subscribers.begin(), subscribers.end());
    std::sort(groups.begin(), groups.end());
    return *this;
  }

  friend bool operator==(const Seen&, const Seen&) = default;
};

Seen match(const TopicTree& tree, std::string_view topic) {
  Seen seen;
  tree.match(topic, seen);
  return seen.sorted();
}

// A topic or filter of few names, so that they meet often.
std::string random_levels(Random& random, bool is_filter) {
  static constexpr const char* kNames[] = {"a", "b", "", "$a", "long-level-name", "c"};
  const std::size_t count = 1 + random.below(5);
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    out += i == 0 ? "" : "/";
    const unsigned pick = random.below(10);
    if (is_filter && pick < 2) {
      out += "+";
    } else if (is_filter && pick == 2 && i + 1 == count) {
      out += "#";
    } else {
      out += kNames[random.below(std::size(kNames))];
    }
  }
  return out.empty() ? "a" : out;
}

TEST_CASE("a worker has one entry per filter, and its slot can be replaced") {
  QuiescentDomain domain(4);
  TopicTree tree(domain);
  const OnlineGuard online(domain, worker(0));
  CHECK(tree.add("a/+", worker(1), 10));
  CHECK_FALSE(tree.add("a/+", worker(1), 11));
  CHECK(tree.add("a/+", worker(2), 20));
  CHECK(tree.add("a/#", worker(1), 12));
  CHECK(tree.filter_count() == 2);
  CHECK(
      match(tree, "a/x").subscribers ==
      std::vector<std::pair<unsigned, std::uint32_t>>{{1, 11}, {1, 12}, {2, 20}}
  );
  const std::uint64_t generation = tree.generation();
  CHECK(tree.remove("a/+", worker(1)));
  CHECK(tree.generation() > generation);
  CHECK_FALSE(tree.remove("a/+", worker(1)));
  CHECK_FALSE(tree.remove("a/b/c", worker(1)));
  CHECK(
      match(tree, "a/x").subscribers ==
      std::vector<std::pair<unsigned, std::uint32_t>>{{1, 12}, {2, 20}}
  );
  CHECK(tree.remove("a/+", worker(2)));
  CHECK(tree.remove("a/#", worker(1)));
  CHECK(tree.filter_count() == 0);
  CHECK(match(tree, "a/x") == Seen{});
}

TEST_CASE("share groups stand beside plain entries of the same filter") {
  QuiescentDomain domain(4);
  TopicTree tree(domain);
  const OnlineGuard online(domain, worker(0));
  tree.add("t", worker(0), 1);
  tree.set_group("t", "g1", {worker(0), 5, 2});
  tree.set_group("t", "g1", {worker(1), 6, 1});
  tree.set_group("t", "g2", {worker(1), 7, 1});
  Seen expected;
  expected.subscribers = {{0, 1}};
  expected.groups = {{"g1", {{0, 5, 2}, {1, 6, 1}}}, {"g2", {{1, 7, 1}}}};
  CHECK(match(tree, "t") == expected);
  tree.add("t", worker(3), 9);
  expected.subscribers = {{0, 1}, {3, 9}};
  CHECK(match(tree, "t") == expected);
  tree.set_group("t", "g1", {worker(0), 5, 3});
  tree.set_group("t", "g2", {worker(1), 7, 0});
  tree.set_group("t", "g2", {worker(2), 7, 0});
  expected.groups = {{"g1", {{0, 5, 3}, {1, 6, 1}}}};
  CHECK(match(tree, "t") == expected);
  tree.remove("t", worker(0));
  tree.remove("t", worker(3));
  CHECK(tree.filter_count() == 1);
  tree.set_group("t", "g1", {worker(0), 5, 0});
  expected = Seen{};
  expected.groups = {{"g1", {{1, 6, 1}}}};
  CHECK(match(tree, "t") == expected);
  tree.set_group("t", "g1", {worker(1), 6, 0});
  CHECK(match(tree, "t") == Seen{});
  CHECK(tree.filter_count() == 0);
}

TEST_CASE("tree match = naive match, over random filters, topics, workers and groups") {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    const bool hash_matches_parent = seed % 2 == 0;
    QuiescentDomain domain(4);
    TopicTree tree(domain, {.hash_matches_parent = hash_matches_parent, .hash_seed = seed});
    const OnlineGuard online(domain, worker(0));
    std::map<std::pair<std::string, unsigned>, std::uint32_t> entries;
    std::map<std::tuple<std::string, std::string, unsigned>, GroupMembers> groups;
    for (std::uint32_t step = 0; step < 600; ++step) {
      domain.quiescent(worker(0));
      const std::string filter = random_levels(random, true);
      const unsigned w = random.below(4);
      switch (random.below(6)) {
        case 0:
        case 1:
        case 2: {
          const bool added = tree.add(filter, worker(w), step);
          REQUIRE(added == !entries.contains({filter, w}));
          entries[{filter, w}] = step;
          break;
        }
        case 3: {
          const bool removed = tree.remove(filter, worker(w));
          REQUIRE(removed == (entries.erase({filter, w}) == 1));
          break;
        }
        default: {
          const std::string name = random.below(2) == 0 ? "g1" : "g2";
          const GroupMembers members{worker(w), step, random.below(3)};
          tree.set_group(filter, name, members);
          groups[{filter, name, w}] = members;
          if (members.member_count == 0) {
            groups.erase({filter, name, w});
          }
        }
      }
      const std::string topic = random_levels(random, false);
      Seen expected;
      for (const auto& [key, slot] : entries) {
        if (topic_matches(key.first, topic, hash_matches_parent)) {
          expected.subscribers.emplace_back(key.second, slot);
        }
      }
      std::map<std::pair<std::string, std::string>, GroupSeen> seen_groups;
      for (const auto& [key, members] : groups) {
        const auto& [group_filter, name, group_worker] = key;
        if (topic_matches(group_filter, topic, hash_matches_parent)) {
          GroupSeen& group = seen_groups[{group_filter, name}];
          group.share_name = name;
          group.workers.emplace_back(group_worker, members.slot, members.member_count);
        }
      }
      for (const auto& [key, group] : seen_groups) {
        expected.groups.push_back(group);
      }
      REQUIRE(match(tree, topic) == expected.sorted());
    }
    for (const auto& [key, slot] : entries) {
      REQUIRE(tree.remove(key.first, worker(key.second)));
    }
    for (const auto& [key, members] : groups) {
      tree.set_group(std::get<0>(key), std::get<1>(key), {worker(std::get<2>(key)), 0, 0});
    }
    CHECK(tree.filter_count() == 0);
    domain.quiescent(worker(0));
    tree.collect();
    domain.quiescent(worker(0));
    tree.collect();
    CHECK(tree.memory_bytes() == 0);
  }
}

TEST_CASE("the deepest topics and filters") {
  QuiescentDomain domain(1);
  TopicTree tree(domain);
  TopicIndex index;
  const OnlineGuard online(domain, worker(0));
  const std::string deepest(kTopicLevelsMax - 1, '/');
  std::string pluses = "+";
  for (std::size_t i = 1; i < kTopicLevelsMax; ++i) {
    pluses += "/+";
  }
  tree.add(deepest, worker(0), 1);
  tree.add(pluses, worker(0), 2);
  tree.add(deepest + "/#", worker(0), 3);
  CHECK(
      match(tree, deepest).subscribers ==
      std::vector<std::pair<unsigned, std::uint32_t>>{{0, 1}, {0, 2}, {0, 3}}
  );
  CHECK(match(tree, deepest + "/") == Seen{});
  int value = 0;
  index.set(deepest, &value);
  for (const std::string& filter : {deepest, pluses, std::string("#"), std::string("/#")}) {
    std::string found_topic;
    index.match(filter, [&](const TopicIndex::Found& found) {
      found.append_topic(found_topic);
      return true;
    });
    CHECK(found_topic == deepest);
  }
}

TEST_CASE("index match = naive match, over random topics and filters") {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    const bool hash_matches_parent = seed % 2 == 0;
    TopicIndex index(hash_matches_parent, seed);
    std::map<std::string, int*> topics;
    std::vector<int> values(400);
    for (int& value : values) {
      const std::string topic = random_levels(random, false);
      if (random.below(3) != 0) {
        const auto found = topics.find(topic);
        REQUIRE(index.set(topic, &value) == (found == topics.end() ? nullptr : found->second));
        topics[topic] = &value;
      } else {
        const auto found = topics.find(topic);
        REQUIRE(index.erase(topic) == (found == topics.end() ? nullptr : found->second));
        topics.erase(topic);
      }
      REQUIRE(index.size() == topics.size());
      const std::string filter = random_levels(random, true);
      std::map<std::string, int*> expected;
      for (const auto& [name, pointer] : topics) {
        REQUIRE(index.find(name) == pointer);
        if (topic_matches(filter, name, hash_matches_parent)) {
          expected[name] = pointer;
        }
      }
      std::map<std::string, int*> seen;
      index.match(filter, [&](const TopicIndex::Found& found) {
        std::string name;
        found.append_topic(name);
        REQUIRE(seen.emplace(name, static_cast<int*>(found.value())).second);
        return true;
      });
      CAPTURE(filter);
      REQUIRE(seen == expected);
    }
    for (const auto& [name, pointer] : topics) {
      REQUIRE(index.erase(name) == pointer);
    }
    CHECK(index.size() == 0);
    CHECK(index.memory_bytes() == 0);
  }
}

TEST_CASE("the members of a group can be asked for by name") {
  QuiescentDomain domain(1);
  TopicTree tree(domain);
  CHECK(tree.group_members("a/+", "g").empty());
  tree.add("a/+", worker(0), 1);
  CHECK(tree.group_members("a/+", "g").empty());
  tree.set_group("a/+", "g", {worker(0), 4, 2});
  tree.set_group("a/+", "g", {worker(1), 5, 1});
  tree.set_group("a/+", "h", {worker(1), 6, 1});
  const std::vector<GroupMembers> members = tree.group_members("a/+", "g");
  REQUIRE(members.size() == 2);
  CHECK((members[0].worker == worker(0) && members[0].slot == 4 && members[0].member_count == 2));
  CHECK((members[1].worker == worker(1) && members[1].slot == 5));
  tree.set_group("a/+", "g", {worker(0), 4, 0});
  CHECK(tree.group_members("a/+", "g").size() == 1);
  CHECK(tree.group_members("a/b", "g").empty());
}

}  // namespace
}  // namespace iotcore::broker
