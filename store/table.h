#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace iotcore::store {

// One ordered key space each (a column family, a SQL table). Who owns which, and how its keys are
// laid out: keys.h. The numbers are not stored, the names are: a table may be added anywhere, never
// renamed.
enum class Table : std::uint8_t {
  kSystem,
  kRegistry,
  kPrincipals,
  kRules,
  kFleet,
  kShadows,
  kRetained,
  kSessions,
  kQueue,
  kOutbox,
};

inline constexpr std::array kTableNames = std::to_array<std::string_view>({
    "system",
    "registry",
    "principals",
    "rules",
    "fleet",
    "shadows",
    "retained",
    "sessions",
    "queue",
    "outbox",
});
inline constexpr std::size_t kTableCount = kTableNames.size();

constexpr std::size_t index(Table table) {
  return static_cast<std::size_t>(table);
}

constexpr std::string_view name(Table table) {
  return kTableNames[index(table)];
}

static_assert(index(Table::kOutbox) + 1 == kTableCount);

}  // namespace iotcore::store
