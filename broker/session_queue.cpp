#include "broker/session_queue.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/memory_use.h"
#include "broker/client_session.h"
#include "broker/session.h"
#include "broker/stored_sessions.h"
#include "broker/worker_broker.h"
#include "broker/worker_sessions.h"

#include <algorithm>

namespace iotcore::broker {
namespace {

// Of one session, in memory, of what waits behind the inflight window.
constexpr std::size_t kMemoryMessages = 1024;
constexpr std::size_t kMemoryBytes = 256U << 10;
// Below it the next page is read.
constexpr std::size_t kLowMessages = 64;
// What one page may hold.
constexpr std::uint64_t kPageMessages = 256;
constexpr std::uint64_t kPageBytes = 512U << 10;
// So many rows are erased one by one: a range costs every later read a little.
constexpr std::uint64_t kRangeMin = 16;
// How far ahead the store is told what may have been sent.
constexpr std::uint32_t kAheadMin = 64;
constexpr std::uint32_t kAheadMax = 1024;

}  // namespace

bool SessionQueue::add(
    const QueuedDelivery& delivery, const DeliveryOptions& options, const QueueRows& rows
) {
  WorkerCounters& counters = worker_.counters();
  const PublishView& publish = delivery.publish;
  ClientSession* client = session_.client();
  if (publish.has_expiry && publish.expires_at <= worker_.now()) {
    counters.dropped_expired.add();
    return false;
  }
  if (client != nullptr && !client->may_receive(publish.topic, delivery.topic_hash)) {
    counters.dropped_denied.add();
    return false;
  }
  const bool at_once = client != nullptr && options.qos != mqtt::Qos::kExactlyOnce &&
                       waiting_.empty() && loaded_ == next_ && uncommitted_.empty() &&
                       client->takes_more(next_);
  if (at_once && !client->fits(delivery.frames, options)) {
    counters.dropped_too_large.add();
    return false;
  }
  const std::size_t bytes = bytes_of(publish);
  if (!at_once && is_full(bytes) && !make_room(bytes)) {
    counters.dropped_queue_full.add();
    return false;
  }
  const std::uint64_t sequence = next_++;
  const bool is_of_group = options.share_slot != SubscriberTable::kNone;
  const std::string_view group =
      is_of_group ? worker_.subscribers().slot(options.share_slot).filter() : std::string_view();
  group_rows_ = group_rows_ || is_of_group;
  std::string& row = worker_.row_scratch();
  row.clear();
  encode_queue_row(
      row,
      publish,
      options.qos,
      options.retain,
      options.subscription_ids,
      delivery.body,
      group,
      at_once,
      worker_.instant()
  );
  rows.batch.put(store::Table::kQueue, queue_key(number_, sequence), row);
  shared_rows_ += delivery.body != 0 ? 1 : 0;
  if (at_once) {
    loaded_ = next_;
    open(sequence, options.qos, delivery.body);
    client->send_queued(delivery.frames, options, Inflight::id_of(sequence), false);
    return true;
  }
  if (client != nullptr) {
    ask_ahead(sequence);
  }
  if (options.qos == mqtt::Qos::kExactlyOnce) {
    uncommitted_.push_back(sequence);
    rows.marks.push_back({number_, sequence, CommitMark::Kind::kKept});
  }
  ++count_;
  bytes_ += bytes;
  if (client != nullptr && loaded_ == sequence && waiting_.size() < kMemoryMessages &&
      waiting_bytes_ + bytes <= kMemoryBytes && MemoryUse::level() != MemoryUse::Level::kFull) {
    keep_in_memory(delivery, options, sequence);
  }
  return true;
}

void SessionQueue::keep_in_memory(
    const QueuedDelivery& delivery, const DeliveryOptions& options, std::uint64_t sequence
) {
  if (!delivery.message) {
    delivery.message = Message::make(delivery.publish);
  }
  waiting_.push_back(
      {sequence,
       delivery.body,
       delivery.message,
       {options.subscription_ids.begin(), options.subscription_ids.end()},
       options.qos,
       options.retain}
  );
  waiting_bytes_ += bytes_of(delivery.publish);
  loaded_ = next_;
}

void SessionQueue::open(std::uint64_t sequence, mqtt::Qos qos, std::uint64_t body) {
  session_.inflight().open(
      sequence,
      qos == mqtt::Qos::kExactlyOnce ? Inflight::State::kAwaitPubrec
                                     : Inflight::State::kAwaitPuback,
      body
  );
  sent_ = std::max(sent_, sequence + 1);
}

// ---- Limits ----

bool SessionQueue::is_full(std::size_t bytes) const {
  const BrokerOptions& options = worker_.options();
  return count_ >= options.queued_messages_max || bytes_ + bytes > options.queued_bytes_max;
}

bool SessionQueue::make_room(std::size_t bytes) {
  const BrokerOptions& options = worker_.options();
  if (options.queue_overflow != QueueOverflow::kDropOldest) {
    return false;
  }
  while (is_full(bytes) && drop_oldest_in_memory()) {
  }
  if (!is_full(bytes)) {
    return true;
  }
  // What is only in the store goes in bulk; until then a little more is let in.
  trim();
  return count_ < options.queued_messages_max + options.queued_messages_max / 8 + 64 &&
         bytes_ + bytes <= options.queued_bytes_max + options.queued_bytes_max / 8;
}

bool SessionQueue::drop_oldest_in_memory() {
  const auto oldest = std::find_if(waiting_.begin(), waiting_.end(), [this](const Waiting& w) {
    return w.sequence >= sent_;
  });
  // A row that another worker has still to write cannot be erased yet.
  if (oldest == waiting_.end() ||
      (!uncommitted_.empty() && oldest->sequence >= uncommitted_.front())) {
    return false;
  }
  drop(*oldest);
  waiting_bytes_ -= bytes_of(oldest->message->view());
  waiting_.erase(oldest);
  worker_.counters().dropped_queue_full.add();
  return true;
}

void SessionQueue::trim() {
  if (trimming_ || session_.client() != nullptr) {
    return;
  }
  const std::uint64_t limit = uncommitted_.empty() ? next_ : uncommitted_.front();
  const std::uint64_t from = std::max(sent_, erased_);
  if (from >= limit) {
    return;
  }
  trimming_ = true;
  worker_.sessions().read_queue(
      {number_, connection_, from, limit, std::max<std::uint64_t>(count_ / 8, 1), true}
  );
}

void SessionQueue::on_trim_loaded(std::uint32_t connection, std::vector<Loaded> page) {
  if (connection != connection_) {
    return;
  }
  trimming_ = false;
  if (page.empty()) {
    return;
  }
  store::Batch& batch = worker_.turn().rows();
  const std::uint64_t end = page.back().sequence + 1;
  for (const Loaded& loaded : page) {
    forget_waiting(loaded.sequence, loaded.row.bytes);
    release_body(loaded.row.body, batch);
  }
  batch.erase_range(
      store::Table::kQueue, queue_key(number_, page.front().sequence), queue_key(number_, end)
  );
  worker_.counters().dropped_queue_full.add(page.size());
  if (erased_ >= sent_) {
    erased_ = loaded_ = end;
  }
  sent_ = end;
}

void SessionQueue::forget_waiting(std::uint64_t sequence, std::size_t bytes) {
  if (sequence >= sent_) {
    count_ -= std::min<std::uint64_t>(count_, 1);
    bytes_ -= std::min<std::uint64_t>(bytes_, bytes);
  }
}

// ---- Sending ----

void SessionQueue::attach() {
  ++connection_;
  loading_ = trimming_ = false;
  waiting_.clear();
  waiting_bytes_ = 0;
  loaded_ = erased_;
  session_.inflight().reset(erased_);
  ahead_ = asked_ahead_ = sent_;
  stored_end_ = next_;
  stride_ = kAheadMin;
  pump();
}

void SessionQueue::detach() {
  flush_erased(worker_.turn().rows());
  ++connection_;
  loading_ = trimming_ = false;
  waiting_.clear();
  waiting_bytes_ = 0;
  loaded_ = erased_;
  session_.inflight().reset(erased_);
  if (asked_ahead_ > sent_) {
    // The session's record knows better from now on.
    worker_.turn().rows().erase(store::Table::kSessions, ahead_key(number_));
  }
}

// Whether the store knows that it may be sent. If not, it is asked to, and pump() goes on when it does.
bool SessionQueue::may_go(std::uint64_t sequence) {
  if (sequence < ahead_) {
    if (asked_ahead_ == ahead_ && sequence + stride_ / 2 >= ahead_) {
      ask_ahead(ahead_);
    }
    return true;
  }
  stalled_ = true;
  ask_ahead(sequence);
  return false;
}

// Whether one more of those that were stored may go out now (mqtt.stored_messages_per_s_max). If not, pump() goes on when it may.
bool SessionQueue::may_drain() {
  const std::uint32_t per_s = worker_.options().stored_messages_per_s_max;
  if (per_s == 0 || drain_.try_take(worker_.now(), 1, per_s)) {
    return true;
  }
  if (!std::exchange(draining_, true)) {
    worker_.limits().reached(Limit::kStoredRate);
    const Duration in = std::chrono::duration_cast<Duration>(std::chrono::seconds(1)) / per_s;
    worker_.timers().schedule(worker_.now() + in, [&worker = worker_, number = number_] {
      if (Session* session = worker.sessions().find(number); session != nullptr) {
        session->queue().draining_ = false;
        session->queue().pump();
      }
    });
  }
  return false;
}

void SessionQueue::ask_ahead(std::uint64_t sequence) {
  if (sequence < asked_ahead_) {
    return;
  }
  if (std::exchange(stalled_, false)) {
    stride_ = std::min(stride_ * 2, kAheadMax);
  }
  asked_ahead_ = sequence + stride_;
  std::string row;
  append_u64(row, asked_ahead_);
  worker_.turn().rows().put(store::Table::kSessions, ahead_key(number_), row);
  worker_.turn().marks().push_back({number_, asked_ahead_, CommitMark::Kind::kAhead, connection_});
}

void SessionQueue::on_ahead(std::uint32_t connection, std::uint64_t end) {
  if (connection != connection_) {
    return;  // detach() has erased that row
  }
  if (end == 0) {
    asked_ahead_ = ahead_;
    return;
  }
  ahead_ = std::max(ahead_, std::min(end, asked_ahead_));
  pump();
}

void SessionQueue::pump() {
  const ClientSession* client = session_.client();
  if (client == nullptr) {
    return;
  }
  while (!waiting_.empty()) {
    const Waiting& next = waiting_.front();
    if (!uncommitted_.empty() && next.sequence >= uncommitted_.front()) {
      break;
    }
    if (!client->takes_more(next.sequence) ||
        (next.message && !next.sent && !may_go(next.sequence)) ||
        (next.message && next.sequence < stored_end_ && !may_drain())) {
      break;
    }
    const std::size_t bytes = next.message ? bytes_of(next.message->view()) : 0;
    if (!send(next)) {
      drop(next);
    }
    waiting_bytes_ -= bytes;
    waiting_.pop_front();
  }
  if (loaded_ < next_ && waiting_.size() < kLowMessages) {
    load();
  } else if (loaded_ == next_ && waiting_.empty()) {
    count_ = bytes_ = 0;
  }
}

bool SessionQueue::send(const Waiting& next) {
  ClientSession& client = *session_.client();
  WorkerCounters& counters = worker_.counters();
  if (!next.message) {
    session_.inflight().open(next.sequence, Inflight::State::kAwaitPubcomp);
    sent_ = std::max(sent_, next.sequence + 1);
    if (!next.sent) {
      client.send_pubrel(Inflight::id_of(next.sequence));
    }
    return true;
  }
  const PublishView& publish = next.message->view();
  const bool again = next.sent || next.sequence < sent_;
  // What was sent before does not expire any more (MQTT-4.3.3-7).
  if (!again && publish.has_expiry && publish.expires_at <= worker_.now()) {
    counters.dropped_expired.add();
    return false;
  }
  if (!client.may_receive(publish.topic, stable_hash(publish.topic))) {
    counters.dropped_denied.add();
    return again && let_go(next);
  }
  FrameCache frames(publish, worker_.now());
  const DeliveryOptions options{next.qos, next.retain, next.subscription_ids};
  if (!client.fits(frames, options)) {
    counters.dropped_too_large.add();
    return again && let_go(next);
  }
  if (!next.sent) {
    forget_waiting(next.sequence, bytes_of(publish));
  }
  open(next.sequence, next.qos, next.body);
  client.send_queued(frames, options, Inflight::id_of(next.sequence), again);
  return true;
}

// A message of QoS 2 that may have been sent and is not to be sent again: the client may have its identifier until it hears PUBREL.
bool SessionQueue::let_go(const Waiting& next) {
  if (next.qos != mqtt::Qos::kExactlyOnce) {
    return false;
  }
  store::Batch& batch = worker_.turn().rows();
  batch.put(store::Table::kQueue, queue_key(number_, next.sequence), encode_released_row());
  release_body(next.body, batch);
  session_.inflight().open(next.sequence, Inflight::State::kAwaitPubcomp);
  session_.client()->send_pubrel(Inflight::id_of(next.sequence));
  return true;
}

void SessionQueue::drop(const Waiting& entry) {
  if (entry.message && !entry.sent) {
    forget_waiting(entry.sequence, bytes_of(entry.message->view()));
  }
  store::Batch& batch = worker_.turn().rows();
  batch.erase(store::Table::kQueue, queue_key(number_, entry.sequence));
  release_body(entry.body, batch);
}

// ---- Acknowledgements ----

void SessionQueue::finished(const Inflight::Answer& answer, std::uint64_t oldest) {
  store::Batch& batch = worker_.turn().rows();
  release_body(answer.body, batch);
  if (answer.sequence != oldest) {
    // Out of order: by itself, since the range before it may stay for long.
    batch.erase(store::Table::kQueue, queue_key(number_, answer.sequence));
  }
  if (!std::exchange(dirty_, true)) {
    worker_.sessions().flush_later(number_);
  }
  pump();
}

void SessionQueue::released(const Inflight::Answer& answer) {
  store::Batch& batch = worker_.turn().rows();
  release_body(answer.body, batch);
  batch.put(store::Table::kQueue, queue_key(number_, answer.sequence), encode_released_row());
  worker_.turn().marks().push_back({number_, answer.sequence, CommitMark::Kind::kReleased});
}

void SessionQueue::on_kept(std::uint64_t sequence, bool kept) {
  // Commits are done in their order, but for those that went by way of another worker.
  if (!uncommitted_.empty() && uncommitted_.front() == sequence) {
    uncommitted_.pop_front();
  } else if (const auto at = std::find(uncommitted_.begin(), uncommitted_.end(), sequence);
             at != uncommitted_.end()) {
    uncommitted_.erase(at);
  }
  if (!kept) {
    // Its publisher is told, and may try again; whether the row is there nobody knows.
    worker_.turn().erase_ghost(store::Table::kQueue, queue_key(number_, sequence));
    const auto found = std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& w) {
      return w.sequence == sequence;
    });
    if (found != waiting_.end()) {
      waiting_bytes_ -= bytes_of(found->message->view());
      drop(*found);
      waiting_.erase(found);
    } else {
      forget_waiting(sequence, 0);
    }
  }
  pump();
}

void SessionQueue::flush_erased(store::Batch& batch) {
  dirty_ = false;
  const std::uint64_t end = session_.inflight().begin();
  if (end <= erased_) {
    return;
  }
  if (end - erased_ >= kRangeMin) {
    batch.erase_range(store::Table::kQueue, queue_key(number_, erased_), queue_key(number_, end));
  } else {
    for (std::uint64_t sequence = erased_; sequence < end; ++sequence) {
      batch.erase(store::Table::kQueue, queue_key(number_, sequence));
    }
  }
  erased_ = end;
}

void SessionQueue::release_body(std::uint64_t body, store::Batch& batch) {
  if (body != 0) {
    shared_rows_ -= std::min<std::uint32_t>(shared_rows_, 1);
    worker_.sessions().release_body(body, batch);
  }
}

// ---- Reading back ----

void SessionQueue::load() {
  const std::uint64_t limit = uncommitted_.empty() ? next_ : std::min(next_, uncommitted_.front());
  if (loading_ || loaded_ >= limit) {
    return;
  }
  loading_ = true;
  const std::uint64_t each = count_ == 0 ? 1 : std::max<std::uint64_t>(bytes_ / count_, 1);
  const std::uint64_t messages = std::clamp<std::uint64_t>(kPageBytes / each, 4, kPageMessages);
  if (loaded_ >= sent_) {
    ask_ahead(loaded_);  // known by the time when the page is there
  }
  worker_.sessions().read_queue({number_, connection_, loaded_, limit, messages, false});
}

void SessionQueue::on_loaded(
    std::uint32_t connection, std::uint64_t end, std::vector<Loaded> page
) {
  if (connection != connection_ || !loading_) {
    return;
  }
  loading_ = false;
  for (Loaded& loaded : page) {
    QueueRow& row = loaded.row;
    if (!row.released && !row.message) {
      // The body went with the last of those that had it, before the crash; this row's erasure did not.
      worker_.turn().rows().erase(store::Table::kQueue, queue_key(number_, loaded.sequence));
      forget_waiting(loaded.sequence, row.bytes);
      continue;
    }
    waiting_bytes_ += row.message ? bytes_of(row.message->view()) : 0;
    waiting_.push_back(
        {loaded.sequence,
         row.body,
         std::move(row.message),
         std::move(row.subscription_ids),
         row.qos,
         row.retain,
         row.sent && !row.released}
    );
  }
  loaded_ = end;
  pump();
  send_pubrels();
}

// PUBREL takes no room in the window and so does not wait for it (MQTT-3.3.4-10), though its turn to be counted there may come later.
void SessionQueue::send_pubrels() {
  ClientSession* client = session_.client();
  if (client == nullptr) {
    return;
  }
  for (Waiting& waiting : waiting_) {
    if (!waiting.message && !std::exchange(waiting.sent, true)) {
      client->send_pubrel(Inflight::id_of(waiting.sequence));
    }
  }
}

void SessionQueue::on_early_pubcomp(PacketId id) {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), [id](const Waiting& w) {
    return !w.message && w.sent && Inflight::id_of(w.sequence) == id;
  });
  if (found != waiting_.end()) {
    drop(*found);
    waiting_.erase(found);
    pump();
  }
}

void SessionQueue::on_load_failed(std::uint32_t connection) {
  if (connection != connection_) {
    return;
  }
  loading_ = trimming_ = false;
}

void SessionQueue::restore_row(std::uint64_t sequence, const QueueRow& row, std::uint64_t sent) {
  if (next_ == 0) {
    erased_ = loaded_ = sequence;
  }
  next_ = sequence + 1;
  shared_rows_ += row.body != 0 ? 1 : 0;
  group_rows_ = group_rows_ || !row.group.empty();
  if (sequence >= sent && !row.sent) {
    ++count_;
    bytes_ += row.bytes;
  }
}

void SessionQueue::restored(std::uint64_t sent) {
  if (next_ == 0) {
    erased_ = loaded_ = sent;
  }
  sent_ = sent;
  next_ = std::max(next_, sent);
  session_.inflight().reset(erased_);
}

}  // namespace iotcore::broker
