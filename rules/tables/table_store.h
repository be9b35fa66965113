#pragma once

#include "base/json.h"
#include "base/result.h"
#include "rules/actions/sqlite_database.h"

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

// The built-in target of dynamoDB and dynamoDBv2, and what get_dynamodb reads: tables of JSON items under one or two key attributes, in one SQLite file.
//
// A table comes into being with its first item. Its key is what the first writer says: a target of kind `table`, or a dynamoDB action by its hashKeyField and
// rangeKeyField. A table that only dynamoDBv2 writes, and that no target describes, has no key: each item is kept under its delivery id.
namespace iotcore::rules::tables {

using actions::SqliteDatabase;
using actions::SqliteResult;

inline constexpr std::string_view kFileName = "tables.db";  // in the sinks' folder

// One attribute of a key. Numbers are kept in one spelling: 1, 1.0 and 1e0 are one key.
struct KeyPart {
  std::string name;
  std::string value;
  bool is_number = false;

  friend bool operator==(const KeyPart&, const KeyPart&) = default;
};

struct ItemKey {
  KeyPart hash;
  std::optional<KeyPart> range;
};

// What the key of a table consists of.
struct KeySchema {
  std::string hash;   // empty: the table has no key
  std::string range;  // empty: items have no range key

  friend bool operator==(const KeySchema&, const KeySchema&) = default;
};

// The value of a key in the one spelling it is kept in. An error if it is no number and has to be one, or empty.
Result<std::string> key_text(std::string_view value, bool is_number);
// The same of an item's member, which must be a string or a number.
Result<KeyPart> key_part(std::string_view name, const json::object& item);

// Makes the tables that all of this needs.
inline constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS tables(name TEXT PRIMARY KEY, hash TEXT NOT NULL, range TEXT NOT "
    "NULL);"
    "CREATE TABLE IF NOT EXISTS items(tbl TEXT NOT NULL, h TEXT NOT NULL, r TEXT NOT NULL, item "
    "TEXT NOT NULL, "
    "updated INTEGER NOT NULL, PRIMARY KEY(tbl, h, r)) WITHOUT ROWID";

// Writing, within a transaction of the caller's. An error that is not is_temporary() is the item's own.

// The table's key; `wanted` if there is no such table, which is made so.
SqliteResult<KeySchema> ensure_table(
    SqliteDatabase& database, const std::string& table, const KeySchema& wanted
);
// Replaces what is there under that key. `item` has the key's attributes.
SqliteResult<void> put_item(
    SqliteDatabase& database,
    std::string_view table,
    const ItemKey& key,
    const json::object& item,
    std::int64_t now_ms
);
// Sets these attributes and leaves the others of the item alone, which is made if it is not there.
SqliteResult<void> update_item(
    SqliteDatabase& database,
    std::string_view table,
    const ItemKey& key,
    const json::object& attributes,
    std::int64_t now_ms
);
// Nothing happens if it is not there.
SqliteResult<void> erase_item(SqliteDatabase& database, std::string_view table, const ItemKey& key);

// Reads items. Any thread, one at a time; blocks on a disk.
class TableReader {
 public:
  explicit TableReader(std::filesystem::path file) : file_(std::move(file)) {}

  // The item as JSON text; nothing if there is none, or no such table. A table without a key is searched for the newest item whose members have these values.
  // kInvalidRequest: the table has another key.
  Result<std::optional<std::string>> get(const std::string& table, const ItemKey& key);

 private:
  SqliteResult<std::optional<std::string>> read(
      const std::string& table, const ItemKey& key, std::string& wrong_key
  );

  const std::filesystem::path file_;
  std::mutex mutex_;  // and what follows
  std::unique_ptr<SqliteDatabase> database_;
};

}  // namespace iotcore::rules::tables
