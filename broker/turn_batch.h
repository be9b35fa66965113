#pragma once

#include "base/function.h"
#include "broker/commit_mark.h"
#include "broker/exactly_once.h"
#include "broker/ghost_rows.h"
#include "broker/publish_context.h"
#include "store/batch.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace iotcore::broker {

class WorkerBroker;

// What one worker hands to the store at the end of this turn, and what follows when it is there. It is written whole or not at all, and the commits of a
// worker are done in their order. Only on that worker.
class TurnBatch {
 public:
  explicit TurnBatch(WorkerBroker& worker) : worker_(worker) {}

  TurnBatch(const TurnBatch&) = delete;
  TurnBatch& operator=(const TurnBatch&) = delete;

  // Rows that nobody waits for: they cause no fsync of their own.
  store::Batch& rows() { return rows_; }

  // Rows that somebody waits for: `waits` is released when they are durable, or fails with them.
  store::Batch& durable_rows(PendingAck::Hold waits);

  // What becomes of this worker's sessions when the rows are durable, or are refused.
  std::vector<CommitMark>& marks() { return marks_; }

  // Calls `then` on this worker when everything that is in here by now is in the store, or was refused.
  void after_commit(Function<void()> then) { after_.push_back(std::move(then)); }

  // The parts that all workers have made of a QoS 2 publish, and its publisher's hold.
  void add(ExactlyOnce& publish);

  // Names the commit that is being gathered: one more after each.
  std::uint64_t number() const { return number_; }

  // A row of a commit that failed: it is erased before anything else is done to the store.
  void erase_ghost(store::Table table, std::string_view key);

  // It is written anew.
  void forget_ghost(store::Table table, std::string_view key) { ghosts_.forget(table, key); }

  // At the end of the turn.
  void commit();

 private:
  struct Committing;

  void on_committed(Committing& committing, std::optional<Errc> failure);
  void commit_ghosts_later();

  WorkerBroker& worker_;
  store::Batch rows_;
  std::vector<PendingAck::Hold> waits_;
  std::vector<CommitMark> marks_;
  std::vector<ExactlyOnce::Part> foreign_;  // marks of other workers
  std::vector<Function<void()>> after_;
  std::uint64_t number_ = 1;
  GhostRows ghosts_;
  bool ghosts_scheduled_ = false;
};

}  // namespace iotcore::broker
