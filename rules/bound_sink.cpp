#include "rules/bound_sink.h"

#include <algorithm>
#include <vector>

namespace iotcore::rules {
namespace {

// The records of a batch that go to one binding, and where their outcomes belong.
struct Group {
  TargetRef target;
  PartOfBatch records;
};

}  // namespace

Result<Sink*> BoundSink::sink_of(const TargetRef& target) {
  const std::string name = target == nullptr ? "" : target->name;
  Inner& inner = sinks_[name];
  if (inner.sink == nullptr || inner.target != target) {
    inner.target = target;
    inner.sink.reset();
    IOTCORE_ASSIGN(inner.sink, make_(name, environment_));
  }
  return inner.sink.get();
}

void BoundSink::deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  std::vector<Group> groups;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    TargetRef target = environment_.targets == nullptr
                           ? nullptr
                           : environment_.targets->bind(kind_, name_of_(*batch[i]));
    auto group = std::ranges::find(groups, target, &Group::target);
    if (group == groups.end()) {
      groups.push_back({std::move(target), {}});
      group = groups.end() - 1;
    }
    group->records.add(i, *batch[i]);
  }
  std::uint32_t requests = 0;  // numbers of the groups before
  for (const Group& group : groups) {
    const Result<Sink*> sink = sink_of(group.target);
    if (sink) {
      group.records.deliver(**sink, outcomes);
    }
    std::uint32_t last = requests;
    for (const std::size_t place : group.records.places()) {
      Outcome& end = outcomes[place];
      if (!sink) {
        end = Outcome::retry(sink.error().message());
      } else if (end.request != 0) {
        end.request += requests;  // of another sink than the others of that number
        last = std::max(last, end.request);
      }
    }
    requests = last;
  }
}

Status BoundSink::probe() {
  Status last;
  for (const auto& [name, inner] : sinks_) {
    last = inner.sink == nullptr ? Status() : inner.sink->probe();
    if (last) {
      break;
    }
  }
  return last;
}

}  // namespace iotcore::rules
