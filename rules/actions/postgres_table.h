#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

namespace iotcore::rules::actions {

// A parameter or a column's value as text; nothing is NULL.
using PostgresValue = std::optional<std::string>;

// A column as PostgreSQL's catalog has it.
struct PostgresColumn {
  std::string type;           // "jsonb", "int4", "_text"
  bool is_key = false;        // of the table's primary key
  char category = 'S';        // pg_type.typcategory: N numbers, A arrays, B Boolean, D times
  std::string cast = "text";  // the type as a cast names it: "timestamp with time zone"
};

struct PostgresTable {
  std::map<std::string, PostgresColumn, std::less<>> columns;
  bool is_by_day = false;  // we make partitions of it, see postgres_series.h
};

}  // namespace iotcore::rules::actions
