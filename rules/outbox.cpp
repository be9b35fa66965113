#include "rules/outbox.h"

#include "base/crypto.h"
#include "base/log.h"
#include "rules/keys.h"

#include <algorithm>

namespace iotcore::rules {
namespace {

// So many that follow one another are erased as a range; a range costs every later read a little.
constexpr std::size_t kRangeMin = 32;

std::uint64_t minutes_since_2023(WallTime now) {
  constexpr std::int64_t k2023 = 1'672'531'200;
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, (to_epoch_s(now) - k2023) / 60));
}

template <typename Row>
void put_row(store::Batch& batch, std::string_view key, const Row& row) {
  thread_local std::string bytes;
  bytes.clear();
  row.AppendToString(&bytes);
  batch.put(keys::kOutbox, key, bytes);
}

// Protobuf's wire format. What has its default is left out (proto3).
void append_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7U;
  }
  out += static_cast<char>(value);
}

void append_number(std::string& out, unsigned field, std::uint64_t value) {
  if (value != 0) {
    append_varint(out, field << 3U);
    append_varint(out, value);
  }
}

void append_element(std::string& out, unsigned field, std::string_view bytes) {
  constexpr unsigned kLengthDelimited = 2;
  append_varint(out, field << 3U | kLengthDelimited);
  append_varint(out, bytes.size());
  out += bytes;
}

void append_bytes(std::string& out, unsigned field, std::string_view bytes) {
  if (!bytes.empty()) {
    append_element(out, field, bytes);
  }
}

}  // namespace

void append_row(std::string& out, const Record& record) {
  using Row = record::OutboxRecord;
  const std::uint64_t zigzag =
      record.action >= 0 ? std::uint64_t{2} * static_cast<std::uint32_t>(record.action)
                         : std::uint64_t{2} * static_cast<std::uint32_t>(-record.action) - 1;
  append_bytes(out, Row::kRuleFieldNumber, record.rule);
  append_number(out, Row::kActionFieldNumber, zigzag);
  append_bytes(out, Row::kDeliveryIdFieldNumber, record.delivery_id);
  for (const std::string& field : record.fields) {
    append_element(out, Row::kFieldsFieldNumber, field);
  }
  append_bytes(out, Row::kPayloadFieldNumber, record.payload);
  append_number(out, Row::kIsJsonFieldNumber, record.is_json ? 1 : 0);
  append_number(out, Row::kReceivedMsFieldNumber, static_cast<std::uint64_t>(record.received_ms));
  append_number(out, Row::kAgeMsMaxFieldNumber, static_cast<std::uint64_t>(record.age_max.count()));
  append_number(out, Row::kAttemptsMaxFieldNumber, record.attempts_max);
  append_bytes(out, Row::kMessageIdFieldNumber, record.message_id);
  append_number(out, Row::kActionsMaskFieldNumber, record.actions_mask);
  append_number(out, Row::kHopsFieldNumber, record.hops);
  append_bytes(out, Row::kSecretMarkFieldNumber, record.secret_mark);
}

record::OutboxRecord to_row(const Record& record) {
  record::OutboxRecord row;
  row.set_rule(record.rule);
  row.set_action(record.action);
  row.set_delivery_id(record.delivery_id);
  for (const std::string& field : record.fields) {
    row.add_fields(field);
  }
  row.set_payload(record.payload);
  row.set_is_json(record.is_json);
  row.set_received_ms(record.received_ms);
  row.set_age_ms_max(record.age_max.count());
  row.set_attempts_max(record.attempts_max);
  row.set_message_id(record.message_id);
  row.set_actions_mask(record.actions_mask);
  row.set_hops(record.hops);
  row.set_secret_mark(record.secret_mark);
  return row;
}

std::unique_ptr<Record> from_row(const record::OutboxRecord& row, std::uint64_t sequence) {
  auto record = std::make_unique<Record>();
  record->sequence = sequence;
  record->rule = row.rule();
  record->action = row.action();
  record->delivery_id = row.delivery_id();
  record->fields.assign(row.fields().begin(), row.fields().end());
  record->payload = row.payload();
  record->is_json = row.is_json();
  record->received_ms = row.received_ms();
  record->age_max = std::chrono::milliseconds(row.age_ms_max());
  record->attempts_max = row.attempts_max();
  record->message_id = row.message_id();
  record->actions_mask = row.actions_mask();
  record->hops = static_cast<std::uint8_t>(row.hops());
  record->secret_mark = row.secret_mark();
  return record;
}

Result<std::vector<Outbox::Waiting>> Outbox::open(WallTime now) {
  IOTCORE_ASSIGN(const std::optional<store::Row> epoch, store_.get(keys::kOutbox, keys::epoch()));
  IOTCORE_ASSIGN(const std::optional<store::Row> id, store_.get(keys::kOutbox, keys::outbox_id()));
  epoch_ = (epoch ? ByteReader(epoch->value).u64() : 0) + 1;
  // By the minute, should the store be an older one than the sinks have seen.
  epoch_ = std::max(epoch_, minutes_since_2023(now));
  id_ = id ? id->value : new_uuid();
  std::string row;
  append_u64(row, epoch_);
  store::Batch batch;
  batch.put(keys::kOutbox, keys::epoch(), row);
  batch.put(keys::kOutbox, keys::outbox_id(), id_);
  // Before any sequence of this run is used.
  IOTCORE_TRY(store_.commit_wait(std::move(batch)));

  std::vector<Waiting> waiting;
  std::string from;
  constexpr std::size_t kPage = 1000;
  for (;;) {
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> page,
        store_.scan(keys::kOutbox, keys::cursors(), from, kPage)
    );
    for (const store::Entry& entry : page) {
      store::KeyReader key(entry.key);
      key.kind();
      Waiting one;
      one.sink = key.text().value_or("");
      if (one.sink.empty() || !one.cursor.ParseFromString(entry.value)) {
        return fail(Errc::kStoreCorrupt, "a cursor of the outbox cannot be read");
      }
      waiting.push_back(std::move(one));
    }
    if (page.size() < kPage) {
      return waiting;
    }
    from = store::key_after(page.back().key);
  }
}

void Outbox::put(store::Batch& batch, std::string_view sink, const Record& record) {
  thread_local std::string bytes;
  bytes.clear();
  append_row(bytes, record);
  batch.put(keys::kOutbox, keys::record(sink, record.sequence), bytes);
}

void Outbox::put_cursor(
    store::Batch& batch, std::string_view sink, const record::OutboxCursor& cursor
) {
  put_row(batch, keys::cursor(sink), cursor);
}

void Outbox::erase(
    store::Batch& batch, std::string_view sink, std::vector<std::uint64_t> sequences
) {
  std::ranges::sort(sequences);
  for (std::size_t begin = 0; begin < sequences.size();) {
    std::size_t end = begin + 1;
    while (end < sequences.size() && sequences[end] == sequences[end - 1] + 1) {
      ++end;
    }
    if (end - begin >= kRangeMin) {
      batch.erase_range(
          keys::kOutbox,
          keys::record(sink, sequences[begin]),
          keys::record(sink, sequences[end - 1] + 1)
      );
    } else {
      for (std::size_t i = begin; i < end; ++i) {
        batch.erase(keys::kOutbox, keys::record(sink, sequences[i]));
      }
    }
    begin = end;
  }
}

Result<std::vector<std::unique_ptr<Record>>> Outbox::read(
    std::string_view sink, SequenceRange range, std::size_t limit, std::uint64_t& next
) {
  const std::string prefix = keys::records_of_sink(sink).take();
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> page,
      store_.scan(keys::kOutbox, prefix, keys::record(sink, range.first), limit)
  );
  std::vector<std::unique_ptr<Record>> records;
  records.reserve(page.size());
  next = range.end;
  for (const store::Entry& entry : page) {
    store::KeyReader key(std::string_view(entry.key).substr(prefix.size()));
    const std::uint64_t sequence = key.u64().value_or(0);
    if (sequence >= range.end) {
      return records;
    }
    record::OutboxRecord row;
    if (!row.ParseFromString(entry.value)) {
      log(LogLevel::kError, "outbox.record_damaged", {{"sink", sink}, {"sequence", sequence}});
      continue;
    }
    records.push_back(from_row(row, sequence));
  }
  if (page.size() == limit) {
    store::KeyReader key(std::string_view(page.back().key).substr(prefix.size()));
    next = key.u64().value_or(0) + 1;
  }
  return records;
}

}  // namespace iotcore::rules
