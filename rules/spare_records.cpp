#include "rules/spare_records.h"

#include <utility>

namespace iotcore::rules {
namespace {

// As new, but for the memory of its texts.
void empty(Record& record) {
  Record fresh;
  fresh.rule.swap(record.rule);
  fresh.delivery_id.swap(record.delivery_id);
  fresh.fields.swap(record.fields);
  fresh.payload.swap(record.payload);
  fresh.rule.clear();
  fresh.delivery_id.clear();
  fresh.fields.clear();
  fresh.payload.clear();
  record = std::move(fresh);
}

}  // namespace

void SpareRecords::give(std::unique_ptr<Record> record) {
  if (count_.load(std::memory_order_relaxed) >= kRecordsMax ||
      record->payload.capacity() > kPayloadBytesMax) {
    return;
  }
  empty(*record);
  count_.fetch_add(1, std::memory_order_relaxed);
  Record* given = record.release();
  given->next = chain_.load(std::memory_order_relaxed);
  while (!chain_.compare_exchange_weak(
      given->next, given, std::memory_order_release, std::memory_order_relaxed
  )) {
  }
}

Record* SpareRecords::take_all() {
  if (chain_.load(std::memory_order_relaxed) == nullptr) {
    return nullptr;
  }
  count_.store(0, std::memory_order_relaxed);
  return chain_.exchange(nullptr, std::memory_order_acquire);
}

void SpareRecords::drop(Record* chain) {
  while (chain != nullptr) {
    delete std::exchange(chain, chain->next);
  }
}

std::unique_ptr<Record> RecordSource::make() {
  if (chain_ == nullptr) {
    chain_ = spare_.take_all();
  }
  if (chain_ == nullptr) {
    return std::make_unique<Record>();
  }
  std::unique_ptr<Record> record(std::exchange(chain_, chain_->next));
  record->next = nullptr;
  return record;
}

}  // namespace iotcore::rules
