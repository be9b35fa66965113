#include "rules/tables/table_store.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace iotcore::rules::tables {
namespace {

using actions::run_once;
using actions::SqliteError;
using actions::SqliteStatement;

// As DynamoDB has it.
constexpr std::size_t kHashBytesMax = 2048;
constexpr std::size_t kRangeBytesMax = 1024;
constexpr std::size_t kItemBytesMax = 400U << 10;

tl::unexpected<SqliteError> refuse(std::string message) {
  return tl::unexpected(SqliteError{SQLITE_MISMATCH, std::move(message)});
}

// Strings and numbers of one text are different keys.
std::string stored(const KeyPart& part) {
  return (part.is_number ? "n" : "s") + part.value;
}

std::string stored_range(const ItemKey& key) {
  return key.range ? stored(*key.range) : std::string();
}

std::string described(const KeySchema& key) {
  if (key.hash.empty()) {
    return "none";
  }
  return key.range.empty() ? key.hash : key.hash + ", " + key.range;
}

// A JSON path to a top-level member, for SQLite. Nothing: SQLite cannot name it.
std::optional<std::string> path_to(std::string_view member) {
  if (member.find('"') != std::string_view::npos) {
    return std::nullopt;
  }
  return fmt::format("$.\"{}\"", member);
}

void bind_value(SqliteStatement& statement, int at, const KeyPart& part) {
  if (!part.is_number) {
    statement.bind(at, std::string_view(part.value));
    return;
  }
  double number = 0;
  std::from_chars(part.value.data(), part.value.data() + part.value.size(), number);
  statement.bind(at, number);
}

SqliteResult<std::optional<std::string>> first_text(SqliteStatement& statement) {
  const auto row = statement.step();
  std::optional<std::string> text;
  if (row && *row) {
    text = std::string(statement.text(0));
  }
  statement.reset();
  if (!row) {
    return tl::unexpected(row.error());
  }
  return text;
}

SqliteResult<std::optional<KeySchema>> find_table(
    SqliteDatabase& database, const std::string& table
) {
  auto statement = database.prepare("SELECT hash, range FROM tables WHERE name = ?1");
  if (!statement) {
    return tl::unexpected(statement.error());
  }
  (*statement)->bind(1, std::string_view(table));
  const auto row = (*statement)->step();
  std::optional<KeySchema> found;
  if (row && *row) {
    found = KeySchema{std::string((*statement)->text(0)), std::string((*statement)->text(1))};
  }
  (*statement)->reset();
  if (!row) {
    return tl::unexpected(row.error());
  }
  return found;
}

SqliteResult<std::optional<std::string>> find_item(
    SqliteDatabase& database, std::string_view table, const ItemKey& key
) {
  auto statement = database.prepare("SELECT item FROM items WHERE tbl = ?1 AND h = ?2 AND r = ?3");
  if (!statement) {
    return tl::unexpected(statement.error());
  }
  const std::string hash = stored(key.hash);
  const std::string range = stored_range(key);
  (*statement)->bind(1, table);
  (*statement)->bind(2, std::string_view(hash));
  (*statement)->bind(3, std::string_view(range));
  return first_text(**statement);
}

// In a table without a key: by the values of members.
SqliteResult<std::optional<std::string>> search_item(
    SqliteDatabase& database, std::string_view table, const ItemKey& key
) {
  const std::optional<std::string> hash = path_to(key.hash.name);
  const std::optional<std::string> range = key.range ? path_to(key.range->name) : std::nullopt;
  if (!hash || (key.range && !range)) {
    return std::optional<std::string>();
  }
  auto statement = database.prepare(fmt::format(
      "SELECT item FROM items WHERE tbl = ?1 AND json_extract(item, ?2) = ?3{} ORDER BY updated "
      "DESC LIMIT 1",
      range ? " AND json_extract(item, ?4) = ?5" : ""
  ));
  if (!statement) {
    return tl::unexpected(statement.error());
  }
  (*statement)->bind(1, table);
  (*statement)->bind(2, std::string_view(*hash));
  bind_value(**statement, 3, key.hash);
  if (range) {
    (*statement)->bind(4, std::string_view(*range));
    bind_value(**statement, 5, *key.range);
  }
  return first_text(**statement);
}

}  // namespace

Result<std::string> key_text(std::string_view value, bool is_number) {
  if (value.empty()) {
    return fail(Errc::kInvalidRequest, "the value of a key is empty");
  }
  if (!is_number) {
    return std::string(value);
  }
  const char* end = value.data() + value.size();
  std::int64_t whole = 0;
  if (const auto [at, error] = std::from_chars(value.data(), end, whole);
      error == std::errc() && at == end) {
    return fmt::to_string(whole);
  }
  // DynamoDB keeps more digits of a number than we calculate with.
  constexpr std::size_t kDigitsMax = 38;
  const bool is_negative = value.starts_with('-');
  const std::string_view digits = value.substr(is_negative ? 1 : 0);
  if (digits.size() <= kDigitsMax && digits.size() > 18 &&
      digits.find_first_not_of("0123456789") == std::string_view::npos) {
    const std::string_view from =
        digits.substr(std::min(digits.find_first_not_of('0'), digits.size() - 1));
    return (is_negative ? "-" : "") + std::string(from);
  }
  double number = 0;
  const auto [at, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || at != end || !std::isfinite(number)) {
    return fail(
        Errc::kInvalidRequest, fmt::format("the value '{}' of a key is not a number", value)
    );
  }
  constexpr double kWholeMax = 1e15;  // below it every whole number is exact
  if (number == std::floor(number) && std::abs(number) < kWholeMax) {
    return fmt::to_string(static_cast<std::int64_t>(number));
  }
  return to_json(json::value(number));
}

Result<KeyPart> key_part(std::string_view name, const json::object& item) {
  const json::value* value = find_member(item, name);
  if (value == nullptr || !(value->is_string() || value->is_number())) {
    return fail(
        Errc::kInvalidRequest,
        fmt::format(
            "the item's key {} is {}",
            name,
            value == nullptr ? "missing" : "neither text nor number"
        )
    );
  }
  constexpr double kExactMax = 9007199254740992;  // above it several whole numbers are one double
  if (value->is_double() && std::abs(value->get_double()) > kExactMax) {
    return fail(
        Errc::kInvalidRequest,
        fmt::format("the item's key {} is a number too large to be exact: send it as text", name)
    );
  }
  KeyPart part;
  part.name = name;
  part.is_number = value->is_number();
  IOTCORE_ASSIGN(
      part.value,
      key_text(part.is_number ? to_json(*value) : std::string(value->get_string()), part.is_number)
  );
  return part;
}

SqliteResult<KeySchema> ensure_table(
    SqliteDatabase& database, const std::string& table, const KeySchema& wanted
) {
  auto found = find_table(database, table);
  if (!found) {
    return tl::unexpected(std::move(found).error());
  }
  if (*found) {
    return **std::move(found);
  }
  auto statement = database.prepare("INSERT INTO tables(name, hash, range) VALUES (?1, ?2, ?3)");
  if (!statement) {
    return tl::unexpected(statement.error());
  }
  (*statement)->bind(1, std::string_view(table));
  (*statement)->bind(2, std::string_view(wanted.hash));
  (*statement)->bind(3, std::string_view(wanted.range));
  if (auto made = run_once(**statement); !made) {
    return tl::unexpected(made.error());
  }
  return wanted;
}

SqliteResult<void> put_item(
    SqliteDatabase& database,
    std::string_view table,
    const ItemKey& key,
    const json::object& item,
    std::int64_t now_ms
) {
  const std::string hash = stored(key.hash);
  const std::string range = stored_range(key);
  const std::string text = to_json(json::value(item));
  if (hash.size() > kHashBytesMax || range.size() > kRangeBytesMax || text.size() > kItemBytesMax) {
    return refuse(fmt::format("an item of {} bytes, or its key, is too large", text.size()));
  }
  auto statement = database.prepare(
      "INSERT INTO items(tbl, h, r, item, updated) VALUES (?1, ?2, ?3, ?4, ?5) "
      "ON CONFLICT(tbl, h, r) DO UPDATE SET item = excluded.item, updated = excluded.updated"
  );
  if (!statement) {
    return tl::unexpected(statement.error());
  }
  (*statement)->bind(1, table);
  (*statement)->bind(2, std::string_view(hash));
  (*statement)->bind(3, std::string_view(range));
  (*statement)->bind(4, std::string_view(text));
  (*statement)->bind(5, now_ms);
  return run_once(**statement);
}

SqliteResult<void> update_item(
    SqliteDatabase& database,
    std::string_view table,
    const ItemKey& key,
    const json::object& attributes,
    std::int64_t now_ms
) {
  auto found = find_item(database, table, key);
  if (!found) {
    return tl::unexpected(std::move(found).error());
  }
  json::object item;
  if (*found) {
    Result<json::value> kept = parse_json(**found);
    if (kept && kept->is_object()) {
      item = std::move(kept->get_object());
    }
  }
  for (const auto& attribute : attributes) {
    item[attribute.key()] = attribute.value();
  }
  return put_item(database, table, key, item, now_ms);
}

SqliteResult<void> erase_item(
    SqliteDatabase& database, std::string_view table, const ItemKey& key
) {
  auto statement = database.prepare("DELETE FROM items WHERE tbl = ?1 AND h = ?2 AND r = ?3");
  if (!statement) {
    return tl::unexpected(statement.error());
  }
  const std::string hash = stored(key.hash);
  const std::string range = stored_range(key);
  (*statement)->bind(1, table);
  (*statement)->bind(2, std::string_view(hash));
  (*statement)->bind(3, std::string_view(range));
  return run_once(**statement);
}

SqliteResult<std::optional<std::string>> TableReader::read(
    const std::string& table, const ItemKey& key, std::string& wrong_key
) {
  if (database_ == nullptr || !database_->is_current()) {
    auto opened = SqliteDatabase::open(file_);
    if (!opened) {
      return tl::unexpected(std::move(opened).error());
    }
    if (auto ready = (*opened)->run(kSchema); !ready) {
      return tl::unexpected(std::move(ready).error());
    }
    database_ = std::move(*opened);
  }
  auto found = find_table(*database_, table);
  if (!found) {
    return tl::unexpected(std::move(found).error());
  }
  if (!*found) {
    return std::optional<std::string>();
  }
  const KeySchema& schema = **found;
  if (schema.hash.empty()) {
    return search_item(*database_, table, key);
  }
  const KeySchema asked = {key.hash.name, key.range ? key.range->name : std::string()};
  if (asked != schema) {
    wrong_key = fmt::format(
        "the key of table {} is {}, not {}", table, described(schema), described(asked)
    );
    return std::optional<std::string>();
  }
  return find_item(*database_, table, key);
}

Result<std::optional<std::string>> TableReader::get(const std::string& table, const ItemKey& key) {
  const std::lock_guard lock(mutex_);
  std::string wrong_key;
  auto found = read(table, key, wrong_key);
  if (!found) {
    database_.reset();
    return fail(Errc::kUnavailable, found.error().message);
  }
  if (!wrong_key.empty()) {
    return fail(Errc::kInvalidRequest, wrong_key);
  }
  return std::move(*found);
}

}  // namespace iotcore::rules::tables
