#pragma once

#include "base/rate_limit.h"
#include "broker/commit_mark.h"
#include "broker/fifo.h"
#include "broker/inflight.h"
#include "broker/message.h"
#include "broker/session_rows.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace iotcore::store {
class Batch;
}

namespace iotcore::broker {

class ClientSession;
class FrameCache;
class Session;
class WorkerBroker;
struct DeliveryOptions;

// Rows on their way to the store, and what follows when they are there.
struct QueueRows {
  store::Batch& batch;
  std::vector<CommitMark>& marks;
};

// One message on its way to several sessions of one worker.
struct QueuedDelivery {
  const PublishView& publish;
  std::uint64_t topic_hash;
  Message::Ref& message;  // made from `publish` if it has to wait
  FrameCache& frames;
  std::uint64_t body = 0;  // of the row that holds the message; 0: each queue's row holds it
};

// The messages at QoS 1 and 2 for a persistent session. Every one has a row in the store from the moment when it is taken until it is finished.
// In memory are only those that are under way to a client that is there, and a few that come next; what waits beyond, and all that waits while
// nobody is there, is only counted here, and read back in pages.
//
//   erased_ <= inflight begin <= inflight end <= ... waiting_ ... < loaded_ <= ... in the store only ... < next_
//
// After a crash, what may have been sent comes again with DUP (MQTT-3.3.1-1), and nothing else should. A row that is written because of a message that
// went out in the same turn says so. Before the others are sent, the store is told how far sending may go by then: a little ahead, and further the faster
// the client takes them. So a crash makes at most kAheadMax messages look as if they had been sent.
//
// A message of QoS 2 goes out when its row is in the store, never before: after a crash it would be sent a second time under another
// number. One of QoS 1 goes out at once. Nothing overtakes: the order of the numbers is the order of sending.
class SessionQueue {
 public:
  SessionQueue(WorkerBroker& worker, Session& session, SessionNumber number)
      : worker_(worker), session_(session), number_(number) {}

  SessionQueue(const SessionQueue&) = delete;
  SessionQueue& operator=(const SessionQueue&) = delete;

  SessionNumber session_number() const { return number_; }

  // Takes a message: it is sent at once, or waits. False: dropped, and counted as such.
  bool add(const QueuedDelivery& delivery, const DeliveryOptions& options, const QueueRows& rows);

  // The session's client is there from now on: what it has not acknowledged is sent again, then what waits.
  void attach();
  // It is not there any more.
  void detach();
  // Sends what may be sent.
  void pump();

  // An acknowledgement finished that message. `oldest`: which was the oldest unfinished one before.
  void finished(const Inflight::Answer& answer, std::uint64_t oldest);
  // PUBCOMP of a message that is not in the window yet.
  void on_early_pubcomp(PacketId id);
  // PUBREC: the message is the client's; PUBREL follows when that is kept.
  void released(const Inflight::Answer& answer);
  // A row of a QoS 2 message is in the store, or is not going to be.
  void on_kept(std::uint64_t sequence, bool kept);
  // That messages below that number may be sent is in the store, or could not be written (0). As asked for by that connection.
  void on_ahead(std::uint32_t connection, std::uint64_t end);
  // Erases the rows of what has been finished since the last time.
  void flush_erased(store::Batch& batch);

  // What waits and has not been sent.
  std::uint64_t waiting_messages() const { return count_; }

  std::uint64_t waiting_bytes() const { return bytes_; }

  std::uint64_t sent() const { return sent_; }

  // Counts connections, so that what was begun for one is not finished for the next.
  std::uint32_t connection() const { return connection_; }

  // From the store, at start. Rows in the order of their numbers, then restored() once. `sent`: of the session's record.
  void restore_row(std::uint64_t sequence, const QueueRow& row, std::uint64_t sent);
  void restored(std::uint64_t sent);

  // Whether rows may be left in the store; and whether some refer to bodies.
  bool has_rows() const { return erased_ < next_; }

  bool has_shared_rows() const { return shared_rows_ != 0; }

  // Whether any may be of a shared subscription, whose other members are to get them when the session ends.
  bool has_group_rows() const { return group_rows_; }

  // A page of rows from the store, all that there are from the asked number to `end`.
  struct Loaded {
    std::uint64_t sequence;
    QueueRow row;
  };

  void on_loaded(std::uint32_t connection, std::uint64_t end, std::vector<Loaded> page);
  void on_load_failed(std::uint32_t connection);
  // The oldest waiting rows, to be dropped for new ones.
  void on_trim_loaded(std::uint32_t connection, std::vector<Loaded> page);

 private:
  struct Waiting {
    std::uint64_t sequence = 0;
    std::uint64_t body = 0;
    Message::Ref message;  // none: PUBREL is to be sent
    std::vector<std::uint32_t> subscription_ids;
    mqtt::Qos qos = mqtt::Qos::kAtMostOnce;
    bool retain = false;
    bool sent = false;  // by an earlier connection; PUBREL: by this one
  };

  bool is_full(std::size_t bytes) const;
  bool make_room(std::size_t bytes);
  bool drop_oldest_in_memory();
  void trim();
  void keep_in_memory(
      const QueuedDelivery& delivery, const DeliveryOptions& options, std::uint64_t sequence
  );
  void open(std::uint64_t sequence, mqtt::Qos qos, std::uint64_t body);
  bool send(const Waiting& next);
  bool let_go(const Waiting& next);
  void send_pubrels();
  void drop(const Waiting& entry);
  void forget_waiting(std::uint64_t sequence, std::size_t bytes);
  void release_body(std::uint64_t body, store::Batch& batch);
  void load();
  bool may_go(std::uint64_t sequence);
  bool may_drain();
  void ask_ahead(std::uint64_t sequence);

  WorkerBroker& worker_;
  Session& session_;
  SessionNumber number_;
  Fifo<Waiting> waiting_;
  std::size_t waiting_bytes_ = 0;
  Fifo<std::uint64_t> uncommitted_;  // QoS 2, rising
  std::uint64_t next_ = 0;           // number of the next message
  std::uint64_t loaded_ = 0;         // from here on: in the store only
  std::uint64_t sent_ = 0;           // below: the client may have seen it
  std::uint64_t ahead_ = 0;          // the store knows that messages below may have been sent
  std::uint64_t asked_ahead_ = 0;    // or will know
  std::uint64_t erased_ = 0;         // below: no rows are left
  std::uint64_t stored_end_ = 0;     // below: waited while nobody was there
  RateLimit drain_;
  std::uint64_t count_ = 0;  // not sent yet, in memory or not
  std::uint64_t bytes_ = 0;
  std::uint32_t shared_rows_ = 0;
  std::uint32_t connection_ = 0;
  std::uint32_t stride_ = 0;  // how far it is told ahead
  bool loading_ = false;
  bool trimming_ = false;
  bool group_rows_ = false;
  bool stalled_ = false;   // waited for the store
  bool draining_ = false;  // a timer will go on
  bool dirty_ = false;     // told the worker that there is something to erase
};

}  // namespace iotcore::broker
