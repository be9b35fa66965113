#include "broker/retained.h"

#include "base/bytes.h"
#include "base/timer_wheel.h"
#include "store/keys.h"
#include "store/store.h"

#include <mutex>

namespace iotcore::broker {
namespace {

constexpr char kKind = 'm';
constexpr std::uint8_t kFormat = 2;
constexpr std::uint8_t kHasExpiry = 1;

std::string key_of(std::string_view topic) {
  return store::Key(kKind).text(topic).take();
}

std::size_t bytes_of(const PublishView& publish) {
  // A node of the index, the entry and what the allocator adds.
  constexpr std::size_t kPerMessage = 160;
  return kPerMessage + sizeof(Message) + publish.topic.size() + publish.properties.size() +
         publish.payload.size();
}

}  // namespace

struct RetainedMessages::Kept {
  Message::Ref message;
  std::int64_t stored_ms = 0;
  std::uint64_t change = 0;
  TimerHandle expiry;
};

struct RetainedMessages::Shard {
  explicit Shard(const RetainedLimits& limits)
      : index(limits.hash_matches_parent, limits.hash_seed) {}

  std::mutex mutex;  // and what follows
  TopicIndex index;
  BasicTimerWheel<Kept*> expiries;
};

RetainedMessages::RetainedMessages(
    store::Store& store, const Clock& clock, const RetainedLimits& limits
)
    : store_(store), clock_(clock), limits_(limits) {
  for (auto& shard : shards_) {
    shard = std::make_unique<Shard>(limits);
  }
}

RetainedMessages::~RetainedMessages() {
  clear();
}

RetainedMessages::Shard& RetainedMessages::shard_of(std::string_view topic) {
  return *shards_[stable_hash(topic) % kShards];
}

bool RetainedMessages::is_expired(const Kept& kept) const {
  const PublishView& publish = kept.message->view();
  return publish.has_expiry && publish.expires_at <= clock_.now();
}

bool RetainedMessages::reserve(std::size_t messages, std::size_t more, std::size_t less) {
  const std::size_t count = count_.fetch_add(messages, std::memory_order_relaxed) + messages;
  const std::size_t bytes = bytes_.fetch_add(more, std::memory_order_relaxed) + more - less;
  const bool fits = (messages == 0 || count <= limits_.messages_max) && bytes <= limits_.bytes_max;
  if (fits) {
    bytes_.fetch_sub(less, std::memory_order_relaxed);
  } else {
    count_.fetch_sub(messages, std::memory_order_relaxed);
    bytes_.fetch_sub(more, std::memory_order_relaxed);
  }
  return fits;
}

void RetainedMessages::keep(
    Shard& shard, Kept& kept, const PublishView& publish, std::int64_t stored_ms
) {
  PublishView copy = publish;
  copy.retain = true;
  kept.message = Message::make(copy);
  kept.stored_ms = stored_ms;
  kept.change = changes_.fetch_add(1, std::memory_order_acq_rel) + 1;
  shard.expiries.cancel(std::exchange(kept.expiry, {}));
  if (publish.has_expiry) {
    kept.expiry = shard.expiries.schedule(publish.expires_at, &kept);
  }
}

void RetainedMessages::forget(Shard& shard, Kept* kept) {
  const PublishView& publish = kept->message->view();
  shard.index.erase(publish.topic);
  shard.expiries.cancel(kept->expiry);
  count_.fetch_sub(1, std::memory_order_relaxed);
  bytes_.fetch_sub(bytes_of(publish), std::memory_order_relaxed);
  changes_.fetch_add(1, std::memory_order_acq_rel);
  delete kept;
}

Result<bool> RetainedMessages::set(const PublishView& publish) {
  Shard& shard = shard_of(publish.topic);
  const std::lock_guard lock(shard.mutex);
  auto* kept = static_cast<Kept*>(shard.index.find(publish.topic));
  if (publish.payload.empty()) {
    if (kept != nullptr) {
      forget(shard, kept);
    }
    // The row may be there even if memory has none: an earlier deletion can still be on its way to the disk, or have failed.
    return kept != nullptr || publish.qos != Qos::kAtMostOnce;
  }
  if (publish.payload.size() > limits_.payload_bytes_max) {
    return fail(Errc::kQuotaExceeded, "the payload is larger than a retained one may be");
  }
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  if (kept != nullptr && now_ms >= kept->stored_ms &&
      now_ms - kept->stored_ms < limits_.interval_ms) {
    return fail(Errc::kQuotaExceeded, "too soon after the last retained message of this topic");
  }
  if (!within_rate()) {
    return fail(Errc::kQuotaExceeded, "more retained messages a second than are taken");
  }
  const std::size_t before = kept == nullptr ? 0 : bytes_of(kept->message->view());
  if (!reserve(kept == nullptr ? 1 : 0, bytes_of(publish), before)) {
    return fail(Errc::kQuotaExceeded, "the limit of retained messages is reached");
  }
  if (kept == nullptr) {
    kept = new Kept();
    shard.index.set(publish.topic, kept);
  }
  keep(shard, *kept, publish, now_ms);
  return true;
}

bool RetainedMessages::within_rate() {
  if (limits_.per_s_max == 0) {
    return true;
  }
  const std::lock_guard lock(rate_mutex_);
  return rate_.try_take(clock_.now(), 1, limits_.per_s_max);
}

void RetainedMessages::write(std::string_view topic, store::Batch& batch) {
  Message::Ref message;
  std::int64_t stored_ms = 0;
  {
    Shard& shard = shard_of(topic);
    const std::lock_guard lock(shard.mutex);
    if (const auto* kept = static_cast<const Kept*>(shard.index.find(topic)); kept != nullptr) {
      message = kept->message;
      stored_ms = kept->stored_ms;
    }
  }
  if (!message) {
    batch.erase(store::Table::kRetained, key_of(topic));
    return;
  }
  const PublishView& publish = message->view();
  std::string row;
  row.reserve(40 + publish.properties.size() + publish.payload.size());
  row.push_back(static_cast<char>(kFormat));
  row.push_back(static_cast<char>(publish.has_expiry ? kHasExpiry : 0));
  row.push_back(static_cast<char>(publish.qos));
  append_u64(row, static_cast<std::uint64_t>(stored_ms));
  if (publish.has_expiry) {
    const auto left = publish.expires_at - clock_.now();
    append_u64(row, static_cast<std::uint64_t>(to_epoch_ms(clock_.wall() + left)));
  }
  append_u32(row, static_cast<std::uint32_t>(publish.properties.size()));
  row.append(publish.properties);
  row.append(publish.payload);
  batch.put(store::Table::kRetained, key_of(topic), row);
}

std::vector<std::string> RetainedMessages::expire() {
  std::vector<std::string> topics;
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    shard->expiries.advance(clock_.now(), [&](Kept* kept) {
      topics.emplace_back(kept->message->view().topic);
      kept->expiry = {};
      forget(*shard, kept);
    });
  }
  return topics;
}

bool RetainedMessages::load_row(std::string_view topic, std::string_view text, bool& expired) {
  ByteReader row(text);
  const std::uint8_t format = row.u8();
  const std::uint8_t flags = row.u8();
  PublishView publish;
  publish.topic = topic;
  publish.qos = static_cast<Qos>(row.u8() & 3U);
  const auto stored_ms = static_cast<std::int64_t>(row.u64());
  if ((flags & kHasExpiry) != 0) {
    const auto left_ms = static_cast<std::int64_t>(row.u64()) - to_epoch_ms(clock_.wall());
    expired = left_ms <= 0;
    publish.has_expiry = true;
    publish.expires_at = clock_.now() + std::chrono::milliseconds(left_ms);
  }
  publish.properties = row.bytes(row.u32());
  publish.payload = row.bytes(row.remaining());
  if (!row.ok() || format != kFormat) {
    return false;
  }
  if (expired) {
    return true;
  }
  // Limits are for what is new: a lowered one takes nothing away.
  Shard& shard = shard_of(topic);
  const std::lock_guard lock(shard.mutex);
  auto* kept = new Kept();
  shard.index.set(topic, kept);
  count_.fetch_add(1, std::memory_order_relaxed);
  bytes_.fetch_add(bytes_of(publish), std::memory_order_relaxed);
  keep(shard, *kept, publish, stored_ms);
  return true;
}

Status RetainedMessages::load() {
  constexpr std::size_t kPage = 1000;
  std::string from;
  std::size_t unreadable = 0;
  store::Batch expired_rows;
  for (;;) {
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> page,
        store_.scan(store::Table::kRetained, std::string(1, kKind), from, kPage)
    );
    for (const store::Entry& entry : page) {
      store::KeyReader key(entry.key);
      key.kind();
      const auto topic = key.text();
      bool expired = false;
      if (!topic || !load_row(*topic, entry.value, expired)) {
        ++unreadable;
      } else if (expired) {
        expired_rows.erase(store::Table::kRetained, entry.key);
      }
    }
    if (page.size() < kPage) {
      break;
    }
    from = store::key_after(page.back().key);
  }
  if (!expired_rows.empty()) {
    IOTCORE_ASSIGN(const store::Revision revision, store_.commit_wait(std::move(expired_rows)));
    static_cast<void>(revision);
  }
  if (unreadable != 0) {
    return fail(
        Errc::kStoreCorrupt,
        std::to_string(unreadable) + " rows of retained messages are not readable"
    );
  }
  return {};
}

void RetainedMessages::match(std::string_view filter, const Visit& visit) {
  const bool one_topic = filter.find_first_of("+#") == std::string_view::npos;
  if (one_topic) {
    std::int64_t stored_ms = 0;
    if (const Message::Ref message = find(filter, &stored_ms)) {
      visit(message, stored_ms);
    }
    return;
  }
  for (const auto& shard : shards_) {
    // Visiting may take long (permissions, encoding), so it happens outside of the lock.
    std::vector<std::pair<Message::Ref, std::int64_t>> found;
    {
      const std::lock_guard lock(shard->mutex);
      shard->index.match(filter, [&](const TopicIndex::Found& hit) {
        const auto* kept = static_cast<const Kept*>(hit.value());
        if (!is_expired(*kept)) {
          found.emplace_back(kept->message, kept->stored_ms);
        }
        return true;
      });
    }
    for (const auto& [message, stored_ms] : found) {
      visit(message, stored_ms);
    }
  }
}

void RetainedMessages::collect(
    std::size_t number,
    std::string_view filter,
    std::uint64_t change_max,
    std::vector<Message::Ref>& out
) {
  Shard& shard = *shards_[number];
  const std::lock_guard lock(shard.mutex);
  shard.index.match(filter, [&](const TopicIndex::Found& hit) {
    const auto* kept = static_cast<const Kept*>(hit.value());
    if (kept->change <= change_max && !is_expired(*kept)) {
      out.push_back(kept->message);
    }
    return true;
  });
}

bool RetainedMessages::is_kept(const Message& message) {
  const Message::Ref kept = find(message.view().topic);
  return kept && &*kept == &message;
}

Result<std::vector<RetainedMessages::Listed>> RetainedMessages::list(
    std::string_view from, std::size_t limit
) {
  // The store has the order of the topics; what counts as kept is what memory says.
  std::vector<Listed> listed;
  std::string key = from.empty() ? std::string() : key_of(from);
  while (listed.size() < limit) {
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> page,
        store_.scan(store::Table::kRetained, std::string(1, kKind), key, limit)
    );
    for (const store::Entry& entry : page) {
      store::KeyReader reader(entry.key);
      reader.kind();
      const auto topic = reader.text();
      std::int64_t stored_ms = 0;
      if (!topic || listed.size() == limit) {
        continue;
      }
      if (const Message::Ref message = find(*topic, &stored_ms)) {
        listed.push_back({message, stored_ms});
      }
    }
    if (page.size() < limit) {
      break;
    }
    key = store::key_after(page.back().key);
  }
  return listed;
}

Message::Ref RetainedMessages::find(std::string_view topic, std::int64_t* stored_ms) {
  Shard& shard = shard_of(topic);
  const std::lock_guard lock(shard.mutex);
  const auto* kept = static_cast<const Kept*>(shard.index.find(topic));
  if (kept == nullptr || is_expired(*kept)) {
    return {};
  }
  if (stored_ms != nullptr) {
    *stored_ms = kept->stored_ms;
  }
  return kept->message;
}

void RetainedMessages::clear() {
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    std::vector<Kept*> all;
    for (const char* filter : {"#", "$SYS/#", "$aws/#"}) {  // `#` stands for no `$` topic
      shard->index.match(filter, [&all](const TopicIndex::Found& hit) {
        all.push_back(static_cast<Kept*>(hit.value()));
        return true;
      });
    }
    for (Kept* kept : all) {
      forget(*shard, kept);
    }
  }
}

}  // namespace iotcore::broker
