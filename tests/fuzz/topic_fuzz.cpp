#include "base/check.h"
#include "broker/topic.h"
#include "broker/topic_index.h"
#include "broker/topic_tree.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

// Lines of commands on a tree and an index, held against the definition of matching: "+filter" subscribes, "-filter" takes it
// back, anything else is a topic that is published, kept as retained, and looked for by every filter.
namespace iotcore::broker {
namespace {

constexpr WorkerId kWorker{};

struct Found {
  std::map<std::uint32_t, int> slots;
  std::map<std::string, int> groups;

  void on_subscribers(WorkerId, std::uint32_t slot) { ++slots[slot]; }

  void on_group(const GroupView& group) { ++groups[std::string(group.share_name)]; }
};

class Model {
 public:
  void subscribe(const FilterView& filter) {
    const auto [entry, added] = filters_.try_emplace(key(filter), next_slot_++);
    if (filter.is_shared()) {
      tree_.set_group(filter.filter, filter.share_name, {kWorker, entry->second, 1});
    } else {
      IOTCORE_CHECK(tree_.add(filter.filter, kWorker, entry->second) == added);
    }
  }

  void unsubscribe(const FilterView& filter) {
    const bool known = filters_.erase(key(filter)) == 1;
    if (filter.is_shared()) {
      tree_.set_group(filter.filter, filter.share_name, {kWorker, 0, 0});
    } else {
      IOTCORE_CHECK(tree_.remove(filter.filter, kWorker) == known);
    }
  }

  void publish(std::string_view topic) {
    const auto kept = topics_.emplace(topic).first;
    index_.set(topic, const_cast<std::string*>(&*kept));
    Found found;
    tree_.match(topic, found);
    Found expected;
    for (const auto& [filter, slot] : filters_) {
      if (topic_matches(filter.second, topic)) {
        if (filter.first.empty()) {
          ++expected.slots[slot];
        } else {
          ++expected.groups[filter.first];
        }
      }
    }
    IOTCORE_CHECK(found.slots == expected.slots);
    IOTCORE_CHECK(found.groups == expected.groups);
  }

  void look(const FilterView& filter) const {
    std::size_t count = 0;
    index_.match(filter.filter, [&](const TopicIndex::Found& found) {
      std::string topic;
      found.append_topic(topic);
      IOTCORE_CHECK(topic == *static_cast<const std::string*>(found.value()));
      IOTCORE_CHECK(topic_matches(filter.filter, topic));
      ++count;
      return true;
    });
    for (const std::string& topic : topics_) {
      count -= topic_matches(filter.filter, topic) ? 1 : 0;
    }
    IOTCORE_CHECK(count == 0);
  }

 private:
  static std::pair<std::string, std::string> key(const FilterView& filter) {
    return {std::string(filter.share_name), std::string(filter.filter)};
  }

  QuiescentDomain domain_{1};
  TopicTree tree_{domain_, {.hash_seed = 1}};
  TopicIndex index_{true, 1};
  std::map<std::pair<std::string, std::string>, std::uint32_t> filters_;
  std::set<std::string, std::less<>> topics_;
  std::uint32_t next_slot_ = 0;
};

void run(std::string_view input) {
  Model model;
  while (!input.empty()) {
    const std::size_t end = input.find('\n');
    const std::string_view line = input.substr(0, end);
    input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
    if (line.starts_with('+') || line.starts_with('-')) {
      if (const auto filter = parse_filter(line.substr(1))) {
        line[0] == '+' ? model.subscribe(*filter) : model.unsubscribe(*filter);
        model.look(*filter);
      }
    } else if (is_valid_topic(line)) {
      model.publish(line);
    }
  }
}

}  // namespace
}  // namespace iotcore::broker

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  iotcore::broker::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
