#pragma once

#include "base/ids.h"
#include "shadow/document/document.h"
#include "shadow/document/operations.h"
#include "shadow/request.h"
#include "shadow/rows.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace iotcore::shadow {

class TurnCommit;
struct ShadowSettings;

// One shadow as its owner knows it. It may run ahead of the store by what is on its way there; nobody is told of that before it has arrived.
struct Shadow {
  std::string_view prefix;  // RequestTopicView::prefix; these three point into the cache's key
  std::string_view thing;
  std::string_view name;  // empty: the classic one

  const ShadowSettings* settings = nullptr;  // known once it is loaded
  std::optional<document::Document> document;
  std::optional<Tombstone> tombstone;  // of the last deletion, if there is no document
  bool tombstone_kept = false;         // the store has a tombstone
  bool loading = false;                // what is above is not known yet
  bool doubtful = false;        // a commit failed: to be loaded again once nothing is under way
  bool look = false;            // it has to be watched for, once it is loaded
  // Which of its answers anybody gets, as of a generation of all subscriptions (0: not known).
  document::Wanted wanted = {};
  std::uint64_t wanted_generation = 0;
  bool history_excess = false;  // the store has versions older than are to be kept
  bool dirty = false;           // differs from what was handed to the store
  bool linked = false;          // idle: in the list of those that may be dropped

  std::uint32_t unanswered = 0;                  // answers and events that wait for commits
  TurnCommit* commit = nullptr;                  // the last one that it waits for
  std::unique_ptr<std::deque<Request>> waiting;  // for it to be loaded

  std::size_t bytes = 0;  // as counted by the cache
  Shadow* newer = nullptr;
  Shadow* older = nullptr;

  bool readable() const { return !loading && !doubtful; }

  bool idle() const { return readable() && unanswered == 0 && !dirty; }
};

// The shadows of one owner that are in memory. Those that are idle are dropped when there are too many bytes, the longest unused first.
class ShadowCache {
 public:
  explicit ShadowCache(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  ShadowCache(const ShadowCache&) = delete;
  ShadowCache& operator=(const ShadowCache&) = delete;

  // nullptr: not in memory.
  Shadow* find(std::string_view prefix);
  // One that was not there; valid until it is erased or, once idle, until the next settle().
  Shadow& insert(const RequestTopicView& topic);
  void erase(Shadow& shadow);

  // Takes it out of those that may be dropped.
  void hold(Shadow& shadow);
  // After each change of it: counts its bytes anew and, if it is idle, puts it first among those that may be dropped, which may
  // drop others.
  void settle(Shadow& shadow);

  template <typename Visitor>
  void for_each(Visitor&& visit) {
    for (auto at = shadows_.begin(); at != shadows_.end();) {
      Shadow& shadow = at->second;
      ++at;  // the visitor may erase it
      visit(shadow);
    }
  }

  std::size_t bytes() const { return bytes_; }

  std::size_t size() const { return shadows_.size(); }

 private:
  struct Hash {
    using is_transparent = void;

    std::size_t operator()(std::string_view prefix) const { return stable_hash(prefix); }
  };

  void unlink(Shadow& shadow);

  std::unordered_map<std::string, Shadow, Hash, std::equal_to<>> shadows_;
  std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  Shadow* newest_ = nullptr;
  Shadow* oldest_ = nullptr;
};

}  // namespace iotcore::shadow
