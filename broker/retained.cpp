#include "broker/retained.h"

#include "base/bytes.h"
#include "base/log.h"
#include "store/keys.h"
#include "store/store.h"

namespace iotcore::broker {
namespace {

constexpr char kKind = 'm';
constexpr std::uint8_t kFormat = 1;
constexpr std::uint8_t kTombstone = 1;
constexpr std::uint8_t kHasExpiry = 2;

std::string key_of(std::string_view topic, WorkerId worker) {
  return store::Key(kKind).text(topic).u64(index(worker)).take();
}

}  // namespace

struct RetainedMessages::Kept {
  Message::Ref message;
  std::int64_t stored_ms = 0;
  std::uint64_t sequence = 0;
  WorkerId writer{};
  bool several_writers =
      false;  // rows of other workers may exist, so that forgetting takes a tombstone
};

struct RetainedMessages::Shard {
  std::mutex mutex;
  TopicIndex index;
};

RetainedMessages::RetainedMessages(
    store::Store& store, const Clock& clock, std::size_t messages_max
)
    : store_(store), clock_(clock), messages_max_(messages_max) {
  for (auto& shard : shards_) {
    shard = std::make_unique<Shard>();
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

Status RetainedMessages::set(const PublishView& publish, WorkerId worker, store::Batch& batch) {
  Shard& shard = shard_of(publish.topic);
  const std::lock_guard lock(shard.mutex);
  auto* kept = static_cast<Kept*>(shard.index.find(publish.topic));
  const std::uint64_t sequence = sequence_.fetch_add(1, std::memory_order_relaxed);
  const bool foreign = kept != nullptr && (kept->several_writers || kept->writer != worker);

  if (publish.payload.empty()) {
    if (kept == nullptr) {
      return {};
    }
    if (!foreign) {
      batch.erase(store::Table::kRetained, key_of(publish.topic, worker));
    } else {
      std::string row;
      row.push_back(static_cast<char>(kFormat));
      append_u64(row, sequence);
      row.push_back(static_cast<char>(kTombstone));
      batch.put(store::Table::kRetained, key_of(publish.topic, worker), row);
    }
    shard.index.erase(publish.topic);
    delete kept;
    count_.fetch_sub(1, std::memory_order_relaxed);
    return {};
  }

  if (kept == nullptr) {
    if (count_.load(std::memory_order_relaxed) >= messages_max_) {
      return fail(Errc::kQuotaExceeded, "the limit of retained messages is reached");
    }
    kept = new Kept();
    shard.index.set(publish.topic, kept);
    count_.fetch_add(1, std::memory_order_relaxed);
  }
  PublishView copy = publish;
  copy.retain = true;
  kept->message = Message::make(copy);
  kept->stored_ms = to_epoch_ms(clock_.wall());
  kept->sequence = sequence;
  kept->several_writers = foreign;
  kept->writer = worker;

  std::string row;
  row.reserve(40 + publish.properties.size() + publish.payload.size());
  row.push_back(static_cast<char>(kFormat));
  append_u64(row, sequence);
  row.push_back(static_cast<char>(publish.has_expiry ? kHasExpiry : 0));
  row.push_back(static_cast<char>(publish.qos));
  append_u64(row, static_cast<std::uint64_t>(kept->stored_ms));
  if (publish.has_expiry) {
    const auto left = publish.expires_at - clock_.now();
    append_u64(row, static_cast<std::uint64_t>(to_epoch_ms(clock_.wall() + left)));
  }
  append_u32(row, static_cast<std::uint32_t>(publish.properties.size()));
  row.append(publish.properties);
  row.append(publish.payload);
  batch.put(store::Table::kRetained, key_of(publish.topic, worker), row);
  return {};
}

Status RetainedMessages::load() {
  constexpr std::size_t kPage = 1000;
  std::string from;
  std::uint64_t highest = 0;
  std::size_t unreadable = 0;
  // Rows of one topic follow each other; the one with the highest sequence counts.
  std::string current_topic;
  std::uint64_t current_sequence = 0;
  for (;;) {
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> page,
        store_.scan(store::Table::kRetained, std::string(1, kKind), from, kPage)
    );
    for (const store::Entry& entry : page) {
      store::KeyReader key(entry.key);
      key.kind();
      const auto topic = key.text();
      const auto worker = key.u64();
      ByteReader row(entry.value);
      const std::uint8_t format = row.u8();
      const std::uint64_t sequence = row.u64();
      const std::uint8_t flags = row.u8();
      if (!topic || !worker || format != kFormat || !row.ok()) {
        ++unreadable;
        continue;
      }
      highest = std::max(highest, sequence);
      const bool same_topic = *topic == current_topic;
      if (same_topic && sequence < current_sequence) {
        continue;
      }
      current_topic = *topic;
      current_sequence = sequence;
      Shard& shard = shard_of(*topic);
      auto* kept = static_cast<Kept*>(shard.index.find(*topic));
      if ((flags & kTombstone) != 0) {
        if (kept != nullptr) {
          shard.index.erase(*topic);
          delete kept;
          --count_;
        }
        continue;
      }
      PublishView publish;
      publish.topic = *topic;
      publish.retain = true;
      publish.qos = static_cast<Qos>(row.u8() & 3U);
      const auto stored_ms = static_cast<std::int64_t>(row.u64());
      if ((flags & kHasExpiry) != 0) {
        const auto left_ms = static_cast<std::int64_t>(row.u64()) - to_epoch_ms(clock_.wall());
        publish.has_expiry = true;
        publish.expires_at = clock_.now() + std::chrono::milliseconds(left_ms);
      }
      publish.properties = row.bytes(row.u32());
      publish.payload = row.bytes(row.remaining());
      if (!row.ok()) {
        ++unreadable;
        continue;
      }
      if (kept == nullptr) {
        kept = new Kept();
        shard.index.set(*topic, kept);
        ++count_;
      }
      kept->message = Message::make(publish);
      kept->stored_ms = stored_ms;
      kept->sequence = sequence;
      kept->writer = static_cast<WorkerId>(*worker);
      kept->several_writers = same_topic;
    }
    if (page.size() < kPage) {
      break;
    }
    from = store::key_after(page.back().key);
  }
  sequence_ = highest + 1;
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

Result<std::vector<RetainedMessages::Listed>> RetainedMessages::list(
    std::string_view from, std::size_t limit
) {
  // The store has the order of the topics; what counts as kept is what memory says.
  std::vector<Listed> listed;
  std::string key = store::Key(kKind).text(from).take();
  std::string last;
  while (listed.size() < limit) {
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> page,
        store_.scan(store::Table::kRetained, std::string(1, kKind), key, limit + 1)
    );
    for (const store::Entry& entry : page) {
      store::KeyReader reader(entry.key);
      reader.kind();
      const auto topic = reader.text();
      if (!topic || *topic == last) {
        continue;
      }
      last = *topic;
      std::int64_t stored_ms = 0;
      if (const Message::Ref message = find(*topic, &stored_ms); message && listed.size() < limit) {
        listed.push_back({message, stored_ms});
      }
    }
    if (page.size() <= limit) {
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

std::size_t RetainedMessages::count() const {
  return count_.load(std::memory_order_relaxed);
}

void RetainedMessages::clear() {
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    std::vector<std::string> topics;
    const auto collect = [&topics](const TopicIndex::Found& hit) {
      hit.append_topic(topics.emplace_back());
      return true;
    };
    shard->index.match("#", collect);
    for (const std::string& topic : topics) {
      delete static_cast<Kept*>(shard->index.erase(topic));
      count_.fetch_sub(1, std::memory_order_relaxed);
    }
  }
}

}  // namespace iotcore::broker
