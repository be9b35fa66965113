#pragma once

#include "base/result.h"
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
class Store;
}  // namespace iotcore::store

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
  // A will that waits is never published.
  void cancel_will(Session& session);
  // Writes its record: after each change of what a SessionRecord has.
  void write_record(Session& session);
  // Reads from the store at start: the session was found there, its client is away.
  void restore(std::unique_ptr<Session> session, SessionRecord record, const Instant& now);

  // Keeps a will for a crash, as long as its client is connected and has no persistent session; and forgets it.
  void keep_will(std::string_view client_id, const LoneWill& lone);
  void forget_will(std::string_view client_id);
  // From the store at start: it is due.
  void restore_will(std::string client_id, LoneWill lone);

  // Connected or not; null if it is gone.
  Session* find(SessionNumber number) const;
  // Of a client that is away.
  Session* find_offline(std::string_view client_id) const;
  // Of any client, with a connection or persistent.
  Session* find_client(std::string_view client_id) const;

  std::size_t offline_count() const { return offline_.size(); }

  // What commits lead to. `kept`: whether the commit succeeded.
  void on_committed(const std::vector<CommitMark>& marks, bool kept);

  // The session has rows to erase; once this turn is over.
  void flush_later(SessionNumber number) { dirty_.push_back(number); }

  bool has_dirty() const { return !dirty_.empty(); }

  void flush_erased(store::Batch& batch);

  // A body that so many rows in this batch refer to; and one reference less. Once a commit has failed, a row that was let go may be there again and be
  // let go a second time: the bodies of before are then left where they are until the next start, which counts anew.
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

  // A session that is there no more, but for its messages from number `from` on.
  struct Ended {
    SessionNumber number;
    std::uint64_t from;
    std::uint64_t sent;  // below this number they may have been sent
    bool pass_on;        // those of shared subscriptions go to other members
  };

  // Erases its rows page by page, those passed on when they are kept elsewhere.
  void clear_away(const Ended& ended);

  // Ends every session: /_iotcore/reset.
  void wipe();

 private:
  struct Page;
  class EndedPage;

  void on_record(Session& session, bool kept);
  void arm_timers(Session& session);
  void on_expired(SessionNumber number);
  void on_will_due(SessionNumber number);
  void publish_will(Session& session);
  void erase_rows(Session& session, store::Batch& batch);
  void on_ended_page(const Ended& ended, std::vector<SessionQueue::Loaded> rows);
  void erase_ended_page(const Ended& ended, const std::vector<SessionQueue::Loaded>& rows);
  static Result<std::vector<SessionQueue::Loaded>> read_rows(
      store::Store& store, const PageWanted& wanted, const Instant& now
  );
  void start_reading(const PageWanted& wanted);
  void on_page(const PageWanted& wanted, Page page);

  WorkerBroker& worker_;
  std::unordered_map<std::string_view, std::unique_ptr<Session>>
      offline_;  // keys: views of the client ids
  std::unordered_map<SessionNumber, Session*> by_number_;
  std::unordered_map<std::uint64_t, std::uint32_t>
      bodies_;  // references to bodies written by this process
  std::uint64_t store_failures_ = 0;  // when bodies_ began
  std::vector<SessionNumber> dirty_;
};

}  // namespace iotcore::broker
