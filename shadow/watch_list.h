#pragma once

#include "base/ids.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace iotcore::shadow {

// The shadows of one owner that somebody has to look at some time, or that have been told about. Who pushes a time back all the time, as each report
// does, costs nothing: the look that was planned happens, and finds that it is too early. Times are seconds since the epoch.
class WatchList {
 public:
  struct Told {
    bool stale = false;
    bool overdue = false;
  };

  // To be looked at at `due_s` at the latest; nothing: no need to.
  void plan(std::string_view prefix, std::optional<std::int64_t> due_s, Told told);
  // The same, of one that could not be looked at: what has been told stays told.
  void plan_again(std::string_view prefix, std::int64_t due_s);
  void forget(std::string_view prefix);
  void clear();
  // Those whose time has come, which are not planned any more.
  std::vector<std::string> take_due(std::int64_t now_s);

  std::size_t stale() const { return stale_; }

  std::size_t overdue() const { return overdue_; }

 private:
  struct Entry {
    std::optional<std::int64_t> due_s;
    Told told;
  };

  struct Hash {
    using is_transparent = void;

    std::size_t operator()(std::string_view prefix) const { return stable_hash(prefix); }
  };

  using Entries = std::unordered_map<std::string, Entry, Hash, std::equal_to<>>;

  void set_told(Entry& entry, Told told);
  void unplan(const Entries::value_type& entry);

  Entries entries_;
  std::set<std::pair<std::int64_t, const std::string*>> by_due_;  // keys of entries_
  std::size_t stale_ = 0;
  std::size_t overdue_ = 0;
};

}  // namespace iotcore::shadow
