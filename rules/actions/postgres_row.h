#pragma once

#include "base/json.h"
#include "rules/actions/postgres_table.h"

#include <string>
#include <string_view>

// Values of JSON as PostgreSQL reads them, by the type of their column.
namespace iotcore::rules::actions {

// The column of that name, as written or in lower case; nullptr: there is none.
const std::pair<const std::string, PostgresColumn>* find_column(
    const PostgresTable& table, std::string_view name
);

bool is_json_column(const PostgresColumn& column);

// Objects and lists become JSON, or arrays where the column is one; numbers of milliseconds since 1970 become times where it is one.
PostgresValue to_postgres(const json::value& value, const PostgresColumn& column);
// A text that templates gave; empty is NULL.
PostgresValue to_postgres(std::string_view text, const PostgresColumn& column);

// Milliseconds since 1970 as "2026-11-23 09:40:24.123+00".
std::string postgres_time(std::int64_t epoch_ms);

}  // namespace iotcore::rules::actions
