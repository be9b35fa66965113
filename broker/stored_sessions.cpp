#include "broker/stored_sessions.h"

#include "base/bytes.h"
#include "base/log.h"
#include "broker/broker.h"
#include "broker/session.h"
#include "broker/topic.h"
#include "broker/worker_broker.h"
#include "broker/worker_sessions.h"
#include "store/keys.h"
#include "store/store.h"

#include <functional>
#include <string>
#include <unordered_set>

namespace iotcore::broker {

// Reads the two tables in their order. What belongs to no session is left of one that has ended, and is erased.
class StoredSessions::Loader {
 public:
  Loader(StoredSessions& sessions, Broker& broker)
      : sessions_(sessions),
        broker_(broker),
        now_{broker.clock().now(), to_epoch_ms(broker.clock().wall())} {}

  Status run() {
    const auto read = [this](store::Table table, char kind, Read row) {
      return scan(table, kind, row);
    };
    IOTCORE_TRY(read(store::Table::kSessions, 's', &Loader::read_session));
    IOTCORE_TRY(read(store::Table::kSessions, 'f', &Loader::read_subscription));
    IOTCORE_TRY(read(store::Table::kSessions, 'r', &Loader::read_received));
    IOTCORE_TRY(read(store::Table::kSessions, 'n', &Loader::read_ahead));
    IOTCORE_TRY(read(store::Table::kSessions, 'e', &Loader::read_ended));
    IOTCORE_TRY(read(store::Table::kSessions, 'w', &Loader::read_will));
    IOTCORE_TRY(read(store::Table::kQueue, 'q', &Loader::read_queue));
    IOTCORE_TRY(read(store::Table::kQueue, 'm', &Loader::read_body));
    for (auto& [number, found] : found_) {
      hand_over(std::move(found));
    }
    if (!garbage_.empty()) {
      broker_.store().commit(std::move(garbage_), nullptr, nullptr);
    }
    if (!found_.empty()) {
      log(LogLevel::kInfo, "sessions.restored", {{"sessions", found_.size()}, {"queued", queued_}});
    }
    return {};
  }

 private:
  struct Found {
    std::unique_ptr<Session> session;
    SessionRecord record;
    WorkerId owner{};
    std::uint64_t sent = 0;
  };

  using Read = Status (Loader::*)(const store::Entry& entry);

  static tl::unexpected<Error> unreadable() {
    return fail(Errc::kStoreCorrupt, "a key of the sessions is not readable");
  }

  Status scan(store::Table table, char kind, Read read) {
    constexpr std::size_t kPage = 1000;
    const std::string prefix(1, kind);
    std::string from;
    for (;;) {
      IOTCORE_ASSIGN(
          const std::vector<store::Entry> page, broker_.store().scan(table, prefix, from, kPage)
      );
      for (const store::Entry& entry : page) {
        IOTCORE_TRY((this->*read)(entry));
      }
      if (page.size() < kPage) {
        return {};
      }
      from = store::key_after(page.back().key);
    }
  }

  Found* find(SessionNumber number) {
    const auto found = found_.find(number);
    return found == found_.end() ? nullptr : &found->second;
  }

  Status read_session(const store::Entry& entry) {
    store::KeyReader key(entry.key);
    key.kind();
    const auto client_id = key.text();
    if (!client_id) {
      return unreadable();
    }
    IOTCORE_ASSIGN(SessionRecord record, decode_session(entry.value, now_));
    Found& found = found_[record.number];
    found.owner = broker_.workers().owner_of(*client_id);
    found.session = std::make_unique<Session>(*client_id);
    found.session->make_persistent(broker_.workers().broker(found.owner), record.number);
    found.sent = record.sent;
    sessions_.next_session_ = std::max(sessions_.next_session_.load(), record.number + 1);
    sessions_.add(found.owner);
    found.record = std::move(record);
    return {};
  }

  Status read_subscription(const store::Entry& entry) {
    store::KeyReader key(entry.key);
    key.kind();
    const auto number = key.u64();
    if (!number) {
      return unreadable();
    }
    Found* found = find(*number);
    if (found == nullptr) {
      garbage_.erase(store::Table::kSessions, entry.key);
      return {};
    }
    IOTCORE_ASSIGN(const Subscriber subscriber, decode_subscription(entry.value));
    if (!parse_filter(key.rest(), kAnyTopicLimits)) {
      return unreadable();
    }
    SubscriberTable& table = broker_.workers().broker(found->owner).subscribers();
    found->session->subscribe(table, key.rest(), subscriber);
    return {};
  }

  Status read_received(const store::Entry& entry) {
    store::KeyReader key(entry.key);
    key.kind();
    const auto number = key.u64();
    const auto id = key.u64();
    if (!number || !id || *id == 0 || *id > 65'535) {
      return unreadable();
    }
    if (Found* found = find(*number); found != nullptr) {
      found->session->received().add(static_cast<PacketId>(*id), ReceivedIds::State::kReceived);
    } else {
      garbage_.erase(store::Table::kSessions, entry.key);
    }
    return {};
  }

  Status read_ahead(const store::Entry& entry) {
    store::KeyReader key(entry.key);
    key.kind();
    const auto number = key.u64();
    ByteReader row(entry.value);
    const std::uint64_t ahead = row.u64();
    if (!number || !row.ok()) {
      return unreadable();
    }
    Found* found = find(*number);
    if (found == nullptr) {
      garbage_.erase(store::Table::kSessions, entry.key);
    } else if (found->record.disconnected_ms == 0) {
      // The crash came while the client was there.
      found->sent = std::max(found->sent, ahead);
    }
    return {};
  }

  // What has been left to be done when the server went down.
  Status read_ended(const store::Entry& entry) {
    store::KeyReader key(entry.key);
    key.kind();
    const auto number = key.u64();
    if (!number) {
      return unreadable();
    }
    IOTCORE_ASSIGN(const EndedSession ended, decode_ended(entry.value));
    ended_.insert(*number);
    sessions_.next_session_ = std::max(sessions_.next_session_.load(), *number + 1);
    const auto worker = static_cast<WorkerId>(*number % broker_.workers().count());
    broker_.workers().broker(worker).sessions().clear_away({*number, 0, ended.sent, true});
    return {};
  }

  // The connection ended with the last run, and its session with it.
  Status read_will(const store::Entry& entry) {
    store::KeyReader key(entry.key);
    key.kind();
    const auto client_id = key.text();
    if (!client_id) {
      return unreadable();
    }
    IOTCORE_ASSIGN(LoneWill lone, decode_lone_will(entry.value, now_));
    const WorkerId owner = broker_.workers().owner_of(*client_id);
    broker_.workers().broker(owner).sessions().restore_will(
        std::string(*client_id), std::move(lone)
    );
    return {};
  }

  Status read_queue(const store::Entry& entry) {
    store::KeyReader key(entry.key);
    key.kind();
    const auto number = key.u64();
    const auto sequence = key.u64();
    if (!number || !sequence) {
      return unreadable();
    }
    Found* found = find(*number);
    if (found == nullptr && !ended_.contains(*number)) {
      garbage_.erase(store::Table::kQueue, entry.key);
      return {};
    }
    IOTCORE_ASSIGN(const QueueRow row, decode_queue_row(entry.value, now_, false));
    if (row.body != 0) {
      sessions_.old_bodies_[row.body].fetch_add(1, std::memory_order_relaxed);
    }
    if (found == nullptr) {
      return {};
    }
    found->session->queue().restore_row(*sequence, row, found->sent);
    ++queued_;
    return {};
  }

  Status read_body(const store::Entry& entry) {
    store::KeyReader key(entry.key);
    key.kind();
    const auto body = key.u64();
    if (!body) {
      return unreadable();
    }
    sessions_.next_body_ = std::max(sessions_.next_body_.load(), *body + 1);
    if (sessions_.old_bodies_.find(*body) == sessions_.old_bodies_.end()) {
      garbage_.erase(store::Table::kQueue, entry.key);
    }
    return {};
  }

  void hand_over(Found found) {
    found.session->queue().restored(found.sent);
    WorkerSessions& worker = broker_.workers().broker(found.owner).sessions();
    worker.restore(std::move(found.session), std::move(found.record), now_);
  }

  StoredSessions& sessions_;
  Broker& broker_;
  const Instant now_;
  std::unordered_map<SessionNumber, Found> found_;
  std::unordered_set<SessionNumber> ended_;
  store::Batch garbage_;
  std::size_t queued_ = 0;
};

Status StoredSessions::load(Broker& broker) {
  return Loader(*this, broker).run();
}

std::size_t StoredSessions::count() const {
  std::size_t sum = 0;
  for (const PerWorker& worker : per_worker_) {
    sum += worker.sessions.load(std::memory_order_relaxed);
  }
  return sum;
}

bool StoredSessions::release_body(std::uint64_t body, store::Batch& batch) {
  const auto found = old_bodies_.find(body);
  if (found == old_bodies_.end()) {
    return false;
  }
  if (found->second.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    batch.erase(store::Table::kQueue, body_key(body));
  }
  return true;
}

}  // namespace iotcore::broker
