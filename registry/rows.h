#pragma once

#include "store/store.h"

#include <google/protobuf/message_lite.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotcore::registry {

// A record with the revision under which it was read.
template <typename Record>
struct Stored {
  Record record;
  store::Revision revision;
};

template <typename Record>
Result<Record> parse_record(std::string_view value) {
  Record record;
  if (!record.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return fail(Errc::kStoreCorrupt, "a row of the registry cannot be read");
  }
  return record;
}

template <typename Record>
Result<std::optional<Stored<Record>>> find_record(
    store::Store& store, store::Table table, std::string_view key
) {
  IOTCORE_ASSIGN(const std::optional<store::Row> row, store.get(table, key));
  if (!row) {
    return std::nullopt;
  }
  IOTCORE_ASSIGN(Record record, parse_record<Record>(row->value));
  return Stored<Record>{std::move(record), row->revision};
}

// As Store::get_cached; nothing, too, if the row cannot be read.
template <typename Record>
std::optional<Record> find_cached(store::Store& store, store::Table table, std::string_view key) {
  const std::optional<store::Row> row = store.get_cached(table, key);
  auto record = row ? parse_record<Record>(row->value) : Result<Record>(Record());
  return row && record ? std::optional<Record>(*std::move(record)) : std::nullopt;
}

// kNotFound, with `absent` as the message.
template <typename Record>
Result<Stored<Record>> get_record(
    store::Store& store, store::Table table, std::string_view key, std::string_view absent
) {
  IOTCORE_ASSIGN(std::optional<Stored<Record>> found, find_record<Record>(store, table, key));
  if (!found) {
    return fail(Errc::kNotFound, std::string(absent));
  }
  return *std::move(found);
}

inline std::string to_row(const google::protobuf::MessageLite& record) {
  return record.SerializeAsString();
}

inline Result<bool> has_any(store::Store& store, store::Table table, std::string_view prefix) {
  IOTCORE_ASSIGN(const std::vector<store::Entry> entries, store.scan(table, prefix, {}, 1));
  return !entries.empty();
}

// Runs `attempt`, a read, decision and commit, again as long as another writer gets in between.
template <typename Attempt>
auto until_no_conflict(Attempt&& attempt) -> decltype(attempt()) {
  constexpr int kAttempts = 20;
  for (int i = 0; i < kAttempts; ++i) {
    auto result = attempt();
    if (result || result.error().code() != Errc::kRevisionConflict) {
      return result;
    }
  }
  return fail(
      Errc::kUnavailable, "Others keep changing this resource at the same time; try again."
  );
}

inline Status commit(store::Store& store, store::Batch batch) {
  IOTCORE_TRY(store.commit_wait(std::move(batch)));
  return {};
}

}  // namespace iotcore::registry
