#pragma once

#include "broker/session.h"
#include "broker/session_queue.h"
#include "broker/session_rows.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace iotcore::store {
class Batch;
}

namespace iotcore::broker {

class WorkerBroker;

// The persistent sessions of one worker: those whose client is away, their time, and what all of them have in the store. Only on that worker, but
// for restore().
class WorkerSessions {
 public:
  explicit WorkerSessions(WorkerBroker& worker);
  ~WorkerSessions();
  WorkerSessions(const WorkerSessions&) = delete;
  WorkerSessions& operator=(const WorkerSessions&) = delete;

  // The session of a client that is away, which belongs to the caller from now on, with its will taken back; or null.
  std::unique_ptr<Session> take(std::string_view client_id);
  // Makes a session persistent that has not been.
  void make_persistent(Session& session);
  // The client is away from now on. With `will`, that is published after its delay unless the client comes back.
  void put_away(std::unique_ptr<Session> session, std::unique_ptr<WillRecord> will);
  // Ends a session: its subscriptions, its messages and its rows; a will that waits is published now.
  void discard(std::unique_ptr<Session> session);
  // Writes its record: after each change of what a SessionRecord has.
  void write_record(Session& session);
  // Reads from the store at start: the session was found there, its client is away.
  void restore(std::unique_ptr<Session> session, SessionRecord record, const Instant& now);

  // Connected or not; null if it is gone.
  Session* find(SessionNumber number) const;
  // Of a client that is away.
  Session* find_offline(std::string_view client_id) const;

  std::size_t offline_count() const { return offline_.size(); }

  // What commits lead to. `kept`: whether the commit succeeded.
  void on_committed(const std::vector<CommitMark>& marks, bool kept);

  // The session has rows to erase; once this turn is over.
  void flush_later(SessionNumber number) { dirty_.push_back(number); }

  bool has_dirty() const { return !dirty_.empty(); }

  void flush_erased(store::Batch& batch);

  // A body that so many rows in this batch refer to; and one reference less.
  void keep_body(
      std::uint64_t body, const PublishView& publish, std::uint32_t references, store::Batch& batch
  );
  void release_body(std::uint64_t body, store::Batch& batch);

  struct PageWanted {
    SessionNumber session;
    std::uint32_t connection;
    std::uint64_t from;
    std::uint64_t end;  // not included
    std::uint64_t messages_max;
    bool trim;  // to drop them: without the messages
  };

  // Reads rows of a queue once everything in the batch of now is in the store, and gives them to the queue.
  void read_queue(const PageWanted& wanted);

  // Ends every session: /_iotcore/reset.
  void wipe();

 private:
  struct Page;

  void arm_timers(Session& session);
  void on_expired(SessionNumber number);
  void on_will_due(SessionNumber number);
  void publish_will(Session& session);
  void erase_rows(Session& session, store::Batch& batch);
  void release_rows(SessionNumber number, std::uint64_t from);
  void start_reading(const PageWanted& wanted);
  void on_page(const PageWanted& wanted, Page page);

  WorkerBroker& worker_;
  std::unordered_map<std::string_view, std::unique_ptr<Session>>
      offline_;  // keys: views of the client ids
  std::unordered_map<SessionNumber, Session*> by_number_;
  std::unordered_map<std::uint64_t, std::uint32_t>
      bodies_;  // references to bodies written by this process
  std::vector<SessionNumber> dirty_;
};

}  // namespace iotcore::broker
