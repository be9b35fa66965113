#include "rules/queues/message_queues.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/json.h"
#include "rules/keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace iotcore::rules {
namespace {

constexpr std::size_t kNonceBytes = 8;
constexpr std::size_t kScanRows = 1000;

tl::unexpected<Error> no_such_queue(std::string_view queue) {
  return fail(Errc::kNotFound, fmt::format("The queue {} does not exist.", queue));
}

bool is_name(std::string_view name) {
  constexpr std::size_t kBytesMax = 80;
  return !name.empty() && name.size() <= kBytesMax && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

// A row: when it was sent, its id, its body.
constexpr std::size_t kIdBytes = 36;

std::string encode(std::int64_t sent_ms, std::string_view id, std::string_view body) {
  std::string row;
  append_u64(row, static_cast<std::uint64_t>(sent_ms));
  row += id;
  row += body;
  return row;
}

std::string receipt_of(std::uint64_t sequence, std::string_view nonce) {
  std::string bytes;
  append_u64(bytes, sequence);
  bytes += nonce;
  return to_hex(bytes);
}

struct Receipt {
  std::uint64_t sequence = 0;
  std::string nonce;
};

Result<Receipt> parse_receipt(std::string_view text) {
  const std::optional<std::string> bytes = from_hex(text);
  if (!bytes || bytes->size() != 8 + kNonceBytes) {
    return fail(Errc::kInvalidRequest, "The receipt handle is not one that was given out.");
  }
  return Receipt{ByteReader(*bytes).u64(), bytes->substr(8)};
}

}  // namespace

// What is known of a message beside its row.
struct MessageQueues::State {
  std::int64_t sent_ms = 0;
  std::int64_t visible_ms = 0;
  std::int64_t first_received_ms = 0;
  std::uint32_t receives = 0;
  std::string nonce;  // of the last receipt
};

struct MessageQueues::Queue {
  std::int64_t created_ms = 0;
  bool is_kept = false;  // its row has been committed
  std::uint64_t next = 1;
  std::map<std::uint64_t, State> messages;
  std::set<std::pair<std::int64_t, std::uint64_t>> by_time;  // when they are visible

  void hide(std::uint64_t sequence, State& state, std::int64_t until_ms) {
    by_time.erase({state.visible_ms, sequence});
    state.visible_ms = until_ms;
    by_time.emplace(until_ms, sequence);
  }

  void forget(std::uint64_t sequence) {
    const auto found = messages.find(sequence);
    if (found != messages.end()) {
      by_time.erase({found->second.visible_ms, sequence});
      messages.erase(found);
    }
  }
};

struct MessageQueues::Taken {
  std::uint64_t sequence = 0;
  State state;
};

struct MessageQueues::Waiter {
  std::string queue;
  std::size_t count = 1;
  std::chrono::seconds hidden{0};
  MonotonicTime until;
  Received done;
};

MessageQueues::MessageQueues(store::Store& store, const Clock& clock, Limits limits)
    : store_(store), clock_(clock), limits_(limits) {}

MessageQueues::~MessageQueues() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
  for (Waiter& waiter : waiters_) {
    waiter.done(std::vector<Message>());
  }
}

Status MessageQueues::load() {
  const std::lock_guard lock(mutex_);
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows,
      store_.scan(keys::kOutbox, keys::queues(), "", limits_.queues_max)
  );
  for (const store::Entry& row : rows) {
    store::KeyReader key(row.key);
    static_cast<void>(key.kind());
    auto queue = std::make_unique<Queue>();
    queue->created_ms = static_cast<std::int64_t>(ByteReader(row.value).u64());
    queue->is_kept = true;
    const std::string name = key.text().value_or("");
    const store::Key prefix = keys::queue_messages(name);
    for (std::string from;;) {
      IOTCORE_ASSIGN(
          const std::vector<store::Entry> messages,
          store_.scan(keys::kOutbox, prefix, from, kScanRows)
      );
      for (const store::Entry& message : messages) {
        const std::uint64_t sequence =
            ByteReader(std::string_view(message.key).substr(prefix.view().size())).u64();
        State state;
        state.sent_ms = static_cast<std::int64_t>(ByteReader(message.value).u64());
        state.visible_ms = state.sent_ms;
        queue->by_time.emplace(state.visible_ms, sequence);
        queue->messages.emplace(sequence, std::move(state));
        queue->next = sequence + 1;
      }
      if (messages.size() < kScanRows) {
        break;
      }
      from = store::key_after(messages.back().key);
    }
    queues_.emplace(name, std::move(queue));
  }
  return {};
}

MessageQueues::Queue* MessageQueues::find(std::string_view queue) {
  const auto found = queues_.find(queue);
  return found == queues_.end() ? nullptr : found->second.get();
}

Result<MessageQueues::Queue*> MessageQueues::find_or_make(
    std::string_view queue, store::Batch& batch
) {
  Queue* found = find(queue);
  if (found == nullptr) {
    if (!is_name(queue)) {
      return fail(
          Errc::kInvalidRequest,
          "A queue's name has 1 to 80 letters, digits, hyphens and underscores."
      );
    }
    if (queues_.size() >= limits_.queues_max) {
      return fail(
          Errc::kQuotaExceeded, fmt::format("There are {} queues already.", queues_.size())
      );
    }
    auto made = std::make_unique<Queue>();
    made->created_ms = to_epoch_ms(clock_.wall());
    found = queues_.emplace(std::string(queue), std::move(made)).first->second.get();
  }
  if (!found->is_kept) {
    // With each batch until one has been committed: without it, messages would be forgotten at the next start.
    std::string row;
    append_u64(row, static_cast<std::uint64_t>(found->created_ms));
    batch.put(keys::kOutbox, keys::queue(queue), row);
  }
  return found;
}

void MessageQueues::note_kept(std::string_view queue) {
  const std::lock_guard lock(mutex_);
  if (Queue* found = find(queue)) {
    found->is_kept = true;
  }
}

Status MessageQueues::create(std::string_view queue) {
  store::Batch batch;
  {
    const std::lock_guard lock(mutex_);
    IOTCORE_TRY(find_or_make(queue, batch));
  }
  IOTCORE_TRY(store_.commit_wait(std::move(batch)));
  note_kept(queue);
  return {};
}

Status MessageQueues::remove(std::string_view queue) {
  std::string name;
  std::unique_ptr<Queue> removed;
  {
    const std::lock_guard lock(mutex_);
    const auto found = queues_.find(queue);
    if (found == queues_.end()) {
      return no_such_queue(queue);
    }
    name = found->first;
    removed = std::move(found->second);
    queues_.erase(found);
  }
  store::Batch batch;
  const store::Key prefix = keys::queue_messages(queue);
  batch.erase(keys::kOutbox, keys::queue(queue));
  batch.erase_prefix(keys::kOutbox, prefix);
  const Result<store::Revision> done = store_.commit_wait(std::move(batch));
  if (!done) {
    const std::lock_guard lock(mutex_);
    queues_.try_emplace(std::move(name), std::move(removed));
    return fail(done.error());
  }
  return {};
}

Status MessageQueues::wipe() {
  for (const std::string& queue : list("")) {
    const Status removed = remove(queue);
    if (!removed && removed.error().code() != Errc::kNotFound) {
      return removed;
    }
  }
  return {};
}

Status MessageQueues::purge(std::string_view queue) {
  Queue purged;
  {
    const std::lock_guard lock(mutex_);
    Queue* found = find(queue);
    if (found == nullptr) {
      return no_such_queue(queue);
    }
    purged.messages.swap(found->messages);
    purged.by_time.swap(found->by_time);
  }
  store::Batch batch;
  const store::Key prefix = keys::queue_messages(queue);
  batch.erase_prefix(keys::kOutbox, prefix);
  const Result<store::Revision> done = store_.commit_wait(std::move(batch));
  if (!done) {
    const std::lock_guard lock(mutex_);
    if (Queue* found = find(queue)) {
      found->messages.merge(purged.messages);
      found->by_time.merge(purged.by_time);
    }
    return fail(done.error());
  }
  return {};
}

void MessageQueues::drop_old(const std::string& name, Queue& queue, store::Batch& batch) {
  const std::int64_t oldest = to_epoch_ms(clock_.wall()) - limits_.retention.count();
  while (!queue.messages.empty() && queue.messages.begin()->second.sent_ms < oldest) {
    const std::uint64_t sequence = queue.messages.begin()->first;
    batch.erase(keys::kOutbox, keys::queue_message(name, sequence));
    queue.forget(sequence);
  }
}

Result<std::vector<std::string>> MessageQueues::send(
    std::string_view queue, std::span<const std::string_view> bodies
) {
  const std::string name(queue);
  store::Batch batch;
  std::vector<std::string> ids;
  std::vector<std::uint64_t> sequences;
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  {
    const std::lock_guard lock(mutex_);
    IOTCORE_ASSIGN(Queue * found, find_or_make(queue, batch));
    drop_old(name, *found, batch);
    if (found->messages.size() + bodies.size() > limits_.messages_max) {
      return fail(
          Errc::kQuotaExceeded,
          fmt::format("The queue {} has {} messages.", queue, found->messages.size())
      );
    }
    for (const std::string_view body : bodies) {
      sequences.push_back(found->next++);
      ids.push_back(new_uuid());
      batch.put(
          keys::kOutbox,
          keys::queue_message(name, sequences.back()),
          encode(now_ms, ids.back(), body)
      );
    }
  }
  IOTCORE_TRY(store_.commit_wait(std::move(batch)));
  {
    // Only what is kept can be received.
    const std::lock_guard lock(mutex_);
    if (Queue* found = find(queue)) {
      found->is_kept = true;
      for (const std::uint64_t sequence : sequences) {
        found->by_time.emplace(now_ms, sequence);
        found->messages[sequence] = State{now_ms, now_ms, 0, 0, {}};
      }
    }
  }
  changed_.notify_all();
  return ids;
}

Status MessageQueues::erase(std::string_view queue, std::string_view receipt) {
  IOTCORE_ASSIGN(const Receipt given, parse_receipt(receipt));
  State was;
  {
    const std::lock_guard lock(mutex_);
    Queue* found = find(queue);
    if (found == nullptr) {
      return no_such_queue(queue);
    }
    const auto message = found->messages.find(given.sequence);
    if (message == found->messages.end() || message->second.nonce != given.nonce) {
      return {};  // deleted before, or received again by another: as SQS has it, no error
    }
    was = message->second;
    found->forget(given.sequence);
  }
  store::Batch batch;
  batch.erase(keys::kOutbox, keys::queue_message(queue, given.sequence));
  const Result<store::Revision> done = store_.commit_wait(std::move(batch));
  if (!done) {
    const std::lock_guard lock(mutex_);
    if (Queue* found = find(queue)) {
      found->by_time.emplace(was.visible_ms, given.sequence);
      found->messages.emplace(given.sequence, std::move(was));
    }
    return fail(done.error());
  }
  return {};
}

Status MessageQueues::set_visibility(
    std::string_view queue, std::string_view receipt, std::chrono::seconds hidden
) {
  IOTCORE_ASSIGN(const Receipt given, parse_receipt(receipt));
  {
    const std::lock_guard lock(mutex_);
    Queue* found = find(queue);
    if (found == nullptr) {
      return no_such_queue(queue);
    }
    const auto message = found->messages.find(given.sequence);
    const std::int64_t now_ms = to_epoch_ms(clock_.wall());
    if (message == found->messages.end() || message->second.nonce != given.nonce ||
        message->second.visible_ms <= now_ms) {
      return fail(Errc::kConflict, "The message is not in flight by that receipt handle.");
    }
    found->hide(
        given.sequence, message->second, now_ms + std::chrono::milliseconds(hidden).count()
    );
  }
  changed_.notify_all();
  return {};
}

std::vector<MessageQueues::Taken> MessageQueues::take(
    Queue& queue, std::size_t count, std::chrono::seconds hidden
) {
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  const std::int64_t oldest = now_ms - limits_.retention.count();
  std::vector<Taken> taken;
  for (auto next = queue.by_time.begin();
       taken.size() < count && next != queue.by_time.end() && next->first <= now_ms;) {
    const std::uint64_t sequence = next->second;
    State& state = queue.messages[sequence];
    ++next;
    if (state.sent_ms < oldest) {
      continue;  // goes with the next send
    }
    state.nonce = random_bytes(kNonceBytes);
    state.first_received_ms = state.receives == 0 ? now_ms : state.first_received_ms;
    ++state.receives;
    taken.push_back({sequence, state});
  }
  for (const Taken& one : taken) {
    queue.hide(
        one.sequence,
        queue.messages[one.sequence],
        now_ms + std::chrono::milliseconds(hidden).count()
    );
  }
  return taken;
}

Result<std::vector<MessageQueues::Message>> MessageQueues::read(
    const std::string& queue, std::vector<Taken> taken
) {
  std::vector<std::string> wanted;
  for (const Taken& one : taken) {
    wanted.push_back(keys::queue_message(queue, one.sequence).take());
  }
  IOTCORE_ASSIGN(
      const std::vector<std::optional<store::Row>> rows, store_.multi_get(keys::kOutbox, wanted)
  );
  std::vector<Message> messages;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i] || rows[i]->value.size() < 8 + kIdBytes) {
      continue;  // deleted meanwhile
    }
    const State& state = taken[i].state;
    messages.push_back(
        {.id = rows[i]->value.substr(8, kIdBytes),
         .receipt = receipt_of(taken[i].sequence, state.nonce),
         .body = rows[i]->value.substr(8 + kIdBytes),
         .sent_ms = state.sent_ms,
         .first_received_ms = state.first_received_ms,
         .receives = state.receives}
    );
  }
  return messages;
}

void MessageQueues::receive(
    std::string_view queue,
    std::size_t count,
    std::chrono::seconds hidden,
    std::chrono::seconds wait,
    Received done
) {
  std::vector<Taken> taken;
  bool is_there = false;
  {
    const std::lock_guard lock(mutex_);
    Queue* found = find(queue);
    if (found != nullptr) {
      taken = take(*found, count, hidden);
      if (taken.empty() && wait.count() > 0 && !stopping_) {
        if (!thread_.joinable()) {
          thread_ = std::thread([this] { serve(); });
        }
        waiters_.push_back(
            {std::string(queue), count, hidden, SystemClock().now() + wait, std::move(done)}
        );
        changed_.notify_all();
        return;
      }
    }
    is_there = found != nullptr;
  }
  if (!is_there) {
    done(no_such_queue(queue));
    return;
  }
  done(read(std::string(queue), std::move(taken)));
}

void MessageQueues::serve() {
  constexpr std::chrono::milliseconds kLookAgain(200);  // what was hidden comes back by time alone
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (waiters_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const MonotonicTime now = SystemClock().now();
    bool served = false;
    for (std::size_t i = 0; i < waiters_.size(); ++i) {
      Queue* queue = find(waiters_[i].queue);
      std::vector<Taken> taken = queue == nullptr
                                     ? std::vector<Taken>()
                                     : take(*queue, waiters_[i].count, waiters_[i].hidden);
      if (taken.empty() && queue != nullptr && now < waiters_[i].until) {
        continue;
      }
      Waiter waiter = std::move(waiters_[i]);
      waiters_.erase(waiters_.begin() + static_cast<std::ptrdiff_t>(i));
      lock.unlock();
      waiter.done(read(waiter.queue, std::move(taken)));
      lock.lock();
      served = true;  // and the list may be another one
      break;
    }
    if (!served) {
      changed_.wait_for(lock, kLookAgain);
    }
  }
}

Result<MessageQueues::Counts> MessageQueues::counts(std::string_view queue) {
  const std::lock_guard lock(mutex_);
  const Queue* found = find(queue);
  if (found == nullptr) {
    return no_such_queue(queue);
  }
  Counts counts;
  counts.created_ms = found->created_ms;
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  counts.hidden = static_cast<std::size_t>(std::distance(
      found->by_time.upper_bound({now_ms, std::uint64_t{0} - 1}), found->by_time.end()
  ));
  counts.visible = found->messages.size() - counts.hidden;
  return counts;
}

std::vector<std::string> MessageQueues::list(std::string_view prefix) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (auto queue = queues_.lower_bound(prefix);
       queue != queues_.end() && queue->first.starts_with(prefix);
       ++queue) {
    names.push_back(queue->first);
  }
  return names;
}

Result<std::string> MessageQueues::name_in(std::string_view url) {
  const std::string_view name = url.substr(url.rfind('/') + 1);
  if (name.ends_with(".fifo")) {
    return fail(Errc::kInvalidRequest, "rules cannot send to FIFO queues");
  }
  if (!is_name(name)) {
    return fail(
        Errc::kInvalidRequest,
        fmt::format(
            "'{}' does not end with a queue's name of 1 to 80 letters, digits, - and _", url
        )
    );
  }
  return std::string(name);
}

}  // namespace iotcore::rules
