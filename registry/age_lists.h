#pragma once

#include "registry/keys.h"
#include "store/store.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace iotcore::registry {

// Lists by age stand in pairs, the oldest first and the newest first: `list(oldest_first)` is the prefix of one, as keys.h has them. A row is the time
// and then the id.
template <typename List>
store::Key age_key(
    const List& list, bool oldest_first, std::int64_t created_ms, std::string_view id
) {
  return list(oldest_first).u64(keys::age_segment(oldest_first, created_ms)).text(id);
}

template <typename List>
void put_in_age_lists(
    store::Batch& batch, const List& list, std::int64_t created_ms, std::string_view id
) {
  for (const bool oldest_first : {true, false}) {
    batch.put(keys::kPrincipals, age_key(list, oldest_first, created_ms, id), {});
  }
}

template <typename List>
void erase_from_age_lists(
    store::Batch& batch, const List& list, std::int64_t created_ms, std::string_view id
) {
  for (const bool oldest_first : {true, false}) {
    batch.erase(keys::kPrincipals, age_key(list, oldest_first, created_ms, id));
  }
}

// The id in a row: the segment behind the time, which stands behind `texts_before` texts.
inline std::string id_in_age_row(std::string_view key, int texts_before = 0) {
  store::KeyReader reader(key);
  reader.kind();
  for (int i = 0; i < texts_before; ++i) {
    reader.text();
  }
  reader.u64();
  return reader.text().value_or(std::string());
}

}  // namespace iotcore::registry
