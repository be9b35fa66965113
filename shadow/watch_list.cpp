#include "shadow/watch_list.h"

namespace iotcore::shadow {

void WatchList::plan(std::string_view prefix, std::optional<std::int64_t> due_s, Told told) {
  auto found = entries_.find(prefix);
  if (found == entries_.end()) {
    if (!due_s && !told.stale && !told.overdue) {
      return;
    }
    found = entries_.try_emplace(std::string(prefix)).first;
  }
  Entry& entry = found->second;
  set_told(entry, told);
  if (due_s && (!entry.due_s || *due_s < *entry.due_s)) {
    unplan(*found);
    entry.due_s = due_s;
    by_due_.emplace(*due_s, &found->first);
  }
  if (!entry.due_s && !told.stale && !told.overdue) {
    entries_.erase(found);
  }
}

void WatchList::plan_again(std::string_view prefix, std::int64_t due_s) {
  const auto found = entries_.find(prefix);
  plan(prefix, due_s, found == entries_.end() ? Told() : found->second.told);
}

void WatchList::forget(std::string_view prefix) {
  const auto found = entries_.find(prefix);
  if (found == entries_.end()) {
    return;
  }
  unplan(*found);
  set_told(found->second, {});
  entries_.erase(found);
}

void WatchList::clear() {
  by_due_.clear();
  entries_.clear();
  stale_ = 0;
  overdue_ = 0;
}

std::vector<std::string> WatchList::take_due(std::int64_t now_s) {
  std::vector<std::string> due;
  while (!by_due_.empty() && by_due_.begin()->first <= now_s) {
    const std::string& prefix = *by_due_.begin()->second;
    due.push_back(prefix);
    entries_.find(prefix)->second.due_s.reset();
    by_due_.erase(by_due_.begin());
  }
  return due;
}

void WatchList::set_told(Entry& entry, Told told) {
  stale_ += static_cast<std::size_t>(told.stale) - static_cast<std::size_t>(entry.told.stale);
  overdue_ += static_cast<std::size_t>(told.overdue) - static_cast<std::size_t>(entry.told.overdue);
  entry.told = told;
}

void WatchList::unplan(const Entries::value_type& entry) {
  if (entry.second.due_s) {
    by_due_.erase({*entry.second.due_s, &entry.first});
  }
}

}  // namespace iotcore::shadow
