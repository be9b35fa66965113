#include "broker/worker_sessions.h"

#include "base/log.h"
#include "broker/client_session.h"
#include "broker/stored_sessions.h"
#include "broker/worker_broker.h"
#include "store/keys.h"
#include "store/store.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace iotcore::broker {
namespace {

constexpr auto kRetry = std::chrono::seconds(1);

std::int64_t to_ms(std::uint32_t seconds) {
  return std::int64_t{seconds} * 1000;
}

// MQTT5 3.1.3.2.2: after its delay, or when the session ends, whichever comes first.
std::int64_t will_due_ms(const PersistentState& state) {
  return state.disconnected_ms + to_ms(std::min(state.will->delay_s, state.expiry_s));
}

// The store has failed: once more after a while.
void pump_later(WorkerBroker& worker, SessionNumber number) {
  worker.timers().schedule(worker.now() + kRetry, [&worker, number] {
    if (Session* session = worker.sessions().find(number); session != nullptr) {
      session->queue().pump();
    }
  });
}

}  // namespace

// What a reader has found.
struct WorkerSessions::Page {
  bool ok = false;
  std::uint64_t end = 0;
  std::vector<SessionQueue::Loaded> rows;
};

WorkerSessions::WorkerSessions(WorkerBroker& worker) : worker_(worker) {}

WorkerSessions::~WorkerSessions() = default;

Session* WorkerSessions::find(SessionNumber number) const {
  const auto found = by_number_.find(number);
  return found == by_number_.end() ? nullptr : found->second;
}

Session* WorkerSessions::find_offline(std::string_view client_id) const {
  const auto found = offline_.find(client_id);
  return found == offline_.end() ? nullptr : found->second.get();
}

Session* WorkerSessions::find_client(std::string_view client_id) const {
  const ClientSession* client = worker_.clients().find_by_id(client_id);
  return client != nullptr ? client->session() : find_offline(client_id);
}

std::unique_ptr<Session> WorkerSessions::take(std::string_view client_id) {
  const auto found = offline_.find(client_id);
  if (found == offline_.end()) {
    return nullptr;
  }
  std::unique_ptr<Session> session = std::move(found->second);
  offline_.erase(found);
  PersistentState& state = session->persistent();
  worker_.timers().cancel(state.expiry_timer);
  worker_.timers().cancel(state.will_timer);
  return session;
}

void WorkerSessions::make_persistent(Session& session) {
  StoredSessions& shared = worker_.shared().sessions();
  session.make_persistent(worker_, shared.next_session());
  by_number_.emplace(session.number(), &session);
  shared.add(worker_.id());
}

void WorkerSessions::put_away(std::unique_ptr<Session> session, std::unique_ptr<WillRecord> will) {
  PersistentState& state = session->persistent();
  session->set_client(nullptr);
  state.queue.detach();
  state.disconnected_ms = worker_.instant().wall_ms;
  state.will = std::move(will);
  if (state.will) {
    state.will->due_ms = will_due_ms(state);
  }
  arm_timers(*session);
  write_record(*session);
  Session& kept = *session;
  offline_.emplace(kept.client_id(), std::move(session));
}

void WorkerSessions::arm_timers(Session& session) {
  PersistentState& state = session.persistent();
  const SessionNumber number = session.number();
  const Instant now = worker_.instant();
  const auto in = [&](std::int64_t due_ms) {
    return now.monotonic +
           std::chrono::milliseconds(std::max<std::int64_t>(due_ms - now.wall_ms, 0));
  };
  if (state.expiry_s != SessionRecord::kNeverExpires) {
    state.expiry_timer = worker_.timers().schedule(
        in(state.disconnected_ms + to_ms(state.expiry_s)), [this, number] { on_expired(number); }
    );
  }
  if (state.will) {
    state.will_timer =
        worker_.timers().schedule(in(state.will->due_ms), [this, number] { on_will_due(number); });
  }
}

void WorkerSessions::on_expired(SessionNumber number) {
  if (const Session* session = find(number); session != nullptr) {
    log(LogLevel::kDebug, "session.expired", {{"client_id", session->client_id()}});
    worker_.counters().sessions_expired.add();
    discard(take(session->client_id()));
  }
}

void WorkerSessions::on_will_due(SessionNumber number) {
  if (Session* session = find(number); session != nullptr && session->persistent().will) {
    publish_will(*session);
    write_record(*session);
  }
}

void WorkerSessions::cancel_will(Session& session) {
  PersistentState& state = session.persistent();
  if (state.will) {
    worker_.timers().cancel(state.will_timer);
    state.will.reset();
    write_record(session);
  }
}

void WorkerSessions::publish_will(Session& session) {
  PersistentState& state = session.persistent();
  worker_.publish_will(*state.will, session.client_id(), state.principal, state.source_ip);
  state.will.reset();
}

void WorkerSessions::discard(std::unique_ptr<Session> session) {
  if (session == nullptr) {
    return;
  }
  if (session->is_persistent() && session->client() == nullptr && session->persistent().will) {
    publish_will(*session);
  }
  const bool subscribed = !session->subscriptions().empty();
  session->unsubscribe_all(worker_.subscribers());
  if (!session->is_persistent()) {
    return;
  }
  store::Batch& batch = worker_.turn().rows();
  batch.erase(store::Table::kSessions, session_key(session->client_id()));
  if (subscribed) {
    batch.erase_prefix(store::Table::kSessions, subscription_prefix(session->number()));
  }
  if (!session->received().empty()) {
    batch.erase_prefix(store::Table::kSessions, received_prefix(session->number()));
  }
  batch.erase(store::Table::kSessions, ahead_key(session->number()));
  erase_rows(*session, batch);
  by_number_.erase(session->number());
  worker_.shared().sessions().remove(worker_.id());
}

void WorkerSessions::write_record(Session& session) {
  PersistentState& state = session.persistent();
  SessionRecord record;
  record.number = session.number();
  record.expiry_s = state.expiry_s;
  record.disconnected_ms = state.disconnected_ms;
  record.sent = state.queue.sent();
  record.principal = state.principal;
  record.source_ip = state.source_ip;
  if (state.will) {
    record.will = *state.will;
  }
  worker_.turn().rows().put(
      store::Table::kSessions, session_key(session.client_id()), encode(record, worker_.instant())
  );
  worker_.turn().marks().push_back({session.number(), 0, CommitMark::Kind::kRecord});
}

// Without its record, what is kept of a session later would be lost with the next start: a client that is there has to come back.
void WorkerSessions::on_record(Session& session, bool kept) {
  if (kept) {
    return;
  }
  if (ClientSession* client = session.client(); client != nullptr) {
    client->close(
        CloseReason::kServerError,
        mqtt::Reason::kUnspecifiedError,
        "what is kept of the session could not be written"
    );
    return;
  }
  worker_.timers().schedule(worker_.now() + kRetry, [this, number = session.number()] {
    if (Session* again = find(number); again != nullptr) {
      write_record(*again);
    }
  });
}

void WorkerSessions::restore(
    std::unique_ptr<Session> session, SessionRecord record, const Instant& now
) {
  PersistentState& state = session->persistent();
  const bool crashed = record.disconnected_ms == 0;
  by_number_.emplace(record.number, session.get());
  state.expiry_s = record.expiry_s;
  state.disconnected_ms = crashed ? now.wall_ms : record.disconnected_ms;
  state.principal = std::move(record.principal);
  state.source_ip = std::move(record.source_ip);
  if (record.will) {
    state.will = std::make_unique<WillRecord>(std::move(*record.will));
    if (crashed) {
      state.will->due_ms = will_due_ms(state);
    }
  }
  if (crashed) {
    write_record(*session);
  }
  arm_timers(*session);
  Session& kept = *session;
  offline_.emplace(kept.client_id(), std::move(session));
}

void WorkerSessions::keep_will(std::string_view client_id, const LoneWill& lone) {
  worker_.turn().rows().put(
      store::Table::kSessions, lone_will_key(client_id), encode(lone, worker_.instant())
  );
}

void WorkerSessions::forget_will(std::string_view client_id) {
  worker_.turn().rows().erase(store::Table::kSessions, lone_will_key(client_id));
}

void WorkerSessions::restore_will(std::string client_id, LoneWill lone) {
  worker_.timers().schedule(
      worker_.now(),
      [this, client_id = std::move(client_id), lone = std::move(lone)] {
        worker_.publish_will(lone.will, client_id, lone.principal, lone.source_ip);
        // In the same commit as what the will leaves here. The client may be back with another one by now.
        const ClientSession* client = worker_.clients().find_by_id(client_id);
        if (client == nullptr || !client->keeps_lone_will()) {
          forget_will(client_id);
        }
      }
  );
}

void WorkerSessions::on_committed(const std::vector<CommitMark>& marks, bool kept) {
  for (const CommitMark& mark : marks) {
    Session* session = find(mark.session);
    if (session == nullptr) {
      continue;
    }
    if (mark.kind == CommitMark::Kind::kAhead) {
      session->queue().on_ahead(mark.connection, kept ? mark.value : 0);
      if (!kept) {
        pump_later(worker_, mark.session);
      }
    } else if (mark.kind == CommitMark::Kind::kRecord) {
      on_record(*session, kept);
    } else if (mark.kind == CommitMark::Kind::kKept) {
      session->queue().on_kept(mark.value, kept);
    } else if (session->client() != nullptr) {
      session->client()->on_committed(mark, kept);
    }
  }
}

void WorkerSessions::flush_erased(store::Batch& batch) {
  for (const SessionNumber number : dirty_) {
    if (Session* session = find(number); session != nullptr) {
      session->queue().flush_erased(batch);
    }
  }
  dirty_.clear();
}

void WorkerSessions::keep_body(
    std::uint64_t body, const PublishView& publish, std::uint32_t references, store::Batch& batch
) {
  std::string& row = worker_.row_scratch();
  row.clear();
  encode_message(row, publish, worker_.instant());
  batch.put(store::Table::kQueue, body_key(body), row);
  bodies_.emplace(body, references);
}

void WorkerSessions::release_body(std::uint64_t body, store::Batch& batch) {
  if (const std::uint64_t failures = worker_.shared().store().failures();
      failures != std::exchange(store_failures_, failures)) {
    bodies_.clear();
  }
  if (const auto found = bodies_.find(body); found != bodies_.end()) {
    if (--found->second == 0) {
      batch.erase(store::Table::kQueue, body_key(body));
      bodies_.erase(found);
    }
    return;
  }
  if (store_failures_ == 0) {
    worker_.shared().sessions().release_body(body, batch);
  }
}

void WorkerSessions::read_queue(const PageWanted& wanted) {
  worker_.turn().after_commit([this, wanted] { start_reading(wanted); });
}

namespace {

// Gives the rows that refer to a body their message.
Status read_bodies(
    store::Store& store, std::vector<SessionQueue::Loaded>& rows, const Instant& now
) {
  std::vector<std::string> keys;
  for (const SessionQueue::Loaded& loaded : rows) {
    if (loaded.row.body != 0) {
      keys.push_back(body_key(loaded.row.body));
    }
  }
  if (keys.empty()) {
    return {};
  }
  IOTCORE_ASSIGN(
      const std::vector<std::optional<store::Row>> found,
      store.multi_get(store::Table::kQueue, keys)
  );
  auto next = found.begin();
  for (SessionQueue::Loaded& loaded : rows) {
    if (loaded.row.body == 0) {
      continue;
    }
    if (const std::optional<store::Row>& body = *next++; body) {
      IOTCORE_ASSIGN(loaded.row.message, decode_message(body->value, now));
    }
  }
  return {};
}

}  // namespace

Result<std::vector<SessionQueue::Loaded>> WorkerSessions::read_rows(
    store::Store& store, const PageWanted& wanted, const Instant& now
) {
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> entries,
      store.scan(
          store::Table::kQueue,
          queue_prefix(wanted.session),
          queue_key(wanted.session, wanted.from),
          wanted.messages_max
      )
  );
  std::vector<SessionQueue::Loaded> rows;
  for (const store::Entry& entry : entries) {
    store::KeyReader key(entry.key);
    key.kind();
    key.u64();
    const std::uint64_t sequence = key.u64().value_or(0);
    if (sequence >= wanted.end) {
      break;
    }
    IOTCORE_ASSIGN(QueueRow row, decode_queue_row(entry.value, now, !wanted.trim));
    rows.push_back({sequence, std::move(row)});
  }
  if (!wanted.trim) {
    IOTCORE_TRY(read_bodies(store, rows, now));
  }
  return rows;
}

void WorkerSessions::start_reading(const PageWanted& wanted) {
  Broker& broker = worker_.shared();
  broker.store().readers().post([&broker, this, wanted, lifeline = worker_.lifeline()] {
    const Instant now{broker.clock().now(), to_epoch_ms(broker.clock().wall())};
    Page page;
    Result<std::vector<SessionQueue::Loaded>> rows = read_rows(broker.store(), wanted, now);
    if (rows) {
      page.ok = true;
      page.end = rows->size() == wanted.messages_max ? rows->back().sequence + 1 : wanted.end;
      page.rows = std::move(*rows);
    } else {
      log(LogLevel::kError, "session.unreadable", {{"error", rows.error().message()}});
    }
    // The lifeline sees to it that the worker's sessions are still there.
    lifeline->post([this, wanted, page = std::move(page)]() mutable {
      on_page(wanted, std::move(page));
    });
  });
}

void WorkerSessions::on_page(const PageWanted& wanted, Page page) {
  Session* session = find(wanted.session);
  if (session == nullptr) {
    return;
  }
  if (!page.ok) {
    session->queue().on_load_failed(wanted.connection);
    pump_later(worker_, wanted.session);
    return;
  }
  if (wanted.trim) {
    session->queue().on_trim_loaded(wanted.connection, std::move(page.rows));
  } else {
    session->queue().on_loaded(wanted.connection, page.end, std::move(page.rows));
  }
}

void WorkerSessions::wipe() {
  while (!offline_.empty()) {
    std::unique_ptr<Session> session = take(offline_.begin()->first);
    session->persistent().will.reset();
    discard(std::move(session));
  }
}

}  // namespace iotcore::broker
