// The part of WorkerSessions that clears away what sessions leave behind.
#include "base/log.h"
#include "broker/publish_context.h"
#include "broker/stored_sessions.h"
#include "broker/worker_broker.h"
#include "broker/worker_sessions.h"
#include "store/keys.h"
#include "store/store.h"

#include <limits>
#include <memory>
#include <utility>

namespace iotcore::broker {
namespace {

// Rows looked at and erased at one time.
constexpr std::size_t kErasePage = 512;

// MQTT5 4.8.2: another member gets what was sent at QoS 1 and not acknowledged. At QoS 2 nobody else may have what was sent (MQTT-4.8.2-5).
bool is_for_others(const SessionQueue::Loaded& loaded, std::uint64_t sent) {
  return !loaded.row.group.empty() && loaded.row.message &&
         (loaded.row.qos == mqtt::Qos::kAtLeastOnce || loaded.sequence >= sent);
}

}  // namespace

// Rows of a session that has ended, whose messages are on their way to others.
class WorkerSessions::EndedPage final : public PendingAck {
 public:
  EndedPage(WorkerSessions& owner, Ended ended, std::vector<SessionQueue::Loaded> rows)
      : PendingAck(&EndedPage::on_complete),
        owner_(&owner),
        lifeline_(owner.worker_.lifeline()),
        ended_(ended),
        rows_(std::move(rows)) {}

 private:
  static void on_complete(PendingAck& self, std::optional<Errc> failure) {
    std::unique_ptr<EndedPage> page(static_cast<EndedPage*>(&self));
    // If one of them could not be kept, those that nobody has taken stay where they are: the next start passes them on.
    if (!failure) {
      const std::shared_ptr<WorkerLifeline> lifeline = page->lifeline_;
      lifeline->post([own = std::move(page)] {
        own->owner_->erase_ended_page(own->ended_, own->rows_);
      });
    }
  }

  WorkerSessions* owner_;  // there as long as the lifeline posts
  std::shared_ptr<WorkerLifeline> lifeline_;
  Ended ended_;
  std::vector<SessionQueue::Loaded> rows_;
};

void WorkerSessions::erase_rows(Session& session, store::Batch& batch) {
  SessionQueue& queue = session.queue();
  if (session.client() == nullptr) {
    queue.detach();
  } else {
    queue.flush_erased(batch);
  }
  if (!queue.has_rows()) {
    return;
  }
  if (!queue.has_shared_rows() && !queue.has_group_rows()) {
    batch.erase_prefix(store::Table::kQueue, queue_prefix(session.number()));
    return;
  }
  if (queue.has_group_rows()) {
    batch.put(
        store::Table::kSessions, ended_key(session.number()), encode(EndedSession{queue.sent()})
    );
  }
  clear_away({session.number(), 0, queue.sent(), queue.has_group_rows()});
}

// The rows have to be looked at: each may be the last that refers to its body, or be for another member of a group.
void WorkerSessions::clear_away(const Ended& ended) {
  worker_.turn().after_commit([this, ended] {
    Broker& broker = worker_.shared();
    broker.store().readers().post([&broker, this, ended, lifeline = worker_.lifeline()] {
      const Instant now{broker.clock().now(), to_epoch_ms(broker.clock().wall())};
      constexpr auto kAll = std::numeric_limits<std::uint64_t>::max();
      auto rows = read_rows(
          broker.store(), {ended.number, 0, ended.from, kAll, kErasePage, !ended.pass_on}, now
      );
      if (!rows) {
        // What is left goes when the server starts the next time.
        log(LogLevel::kError, "session.unreadable", {{"error", rows.error().message()}});
        return;
      }
      // The lifeline sees to it that the worker's sessions are still there.
      lifeline->post([this, ended, rows = std::move(*rows)]() mutable {
        on_ended_page(ended, std::move(rows));
      });
    });
  });
}

void WorkerSessions::on_ended_page(const Ended& ended, std::vector<SessionQueue::Loaded> rows) {
  if (rows.empty()) {
    if (ended.pass_on) {
      worker_.turn().rows().erase(store::Table::kSessions, ended_key(ended.number));
    }
    return;
  }
  std::vector<SharedMessage> passed;
  for (const SessionQueue::Loaded& loaded : rows) {
    if (ended.pass_on && is_for_others(loaded, ended.sent)) {
      SharedMessage& shared = passed.emplace_back();
      shared.message = loaded.row.message;
      shared.filter = loaded.row.group;
      shared.row = queue_key(ended.number, loaded.sequence);
    }
  }
  auto* page = new EndedPage(*this, ended, std::move(rows));
  PendingAck::Hold own = page->hold();
  for (SharedMessage& shared : passed) {
    shared.hold = page->hold();
    worker_.pass_on(std::move(shared));
  }
  own.release();
}

void WorkerSessions::erase_ended_page(
    const Ended& ended, const std::vector<SessionQueue::Loaded>& rows
) {
  store::Batch& batch = worker_.turn().rows();
  for (const SessionQueue::Loaded& loaded : rows) {
    if (loaded.row.body != 0) {
      release_body(loaded.row.body, batch);
    }
  }
  const std::uint64_t end = rows.back().sequence + 1;
  batch.erase_range(
      store::Table::kQueue,
      queue_key(ended.number, rows.front().sequence),
      queue_key(ended.number, end)
  );
  clear_away({ended.number, end, ended.sent, ended.pass_on});
}

}  // namespace iotcore::broker
