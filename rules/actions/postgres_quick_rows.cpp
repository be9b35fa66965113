#include "rules/actions/postgres_quick_rows.h"

#include "rules/actions/postgres_row.h"

#include <charconv>
#include <utility>

namespace iotcore::rules::actions {
namespace {

using sql::JsonKind;
using sql::JsonTape;

// Numbers with no more digits are the same as text and as double.
constexpr std::size_t kDigitsMax = 15;

std::string_view json_text(const JsonTape& tape, const JsonTape::Node& node) {
  const std::size_t quote = node.kind == JsonKind::kString ? 1 : 0;
  return tape.text().substr(node.begin - quote, node.end - node.begin + 2 * quote);
}

}  // namespace

std::string quick_name(const Record& record) {
  return record.fields[1] + '\0' + record.fields[2];
}

void QuickRows::learn(PostgresResultShape shape) {
  shapes_.add(std::move(shape));
}

bool QuickRows::add(const Record& record, PostgresWrites& writes) {
  if (shapes_.empty() || !tape_.parse(record.payload) || tape_.root().kind != JsonKind::kObject) {
    return false;
  }
  const PostgresResultShape* shape = shapes_.find(quick_name(record), tape_);
  if (shape == nullptr || !add_values(*shape, writes)) {
    writes.undo_row();
    return false;
  }
  if (shape->has_delivery_id) {
    writes.append_value(record.delivery_id);
  }
  if (shape->has_received_at) {
    writes.append_value(postgres_time(record.received_ms));
  }
  writes.add_row(shape->row);
  return true;
}

bool QuickRows::add_values(const PostgresResultShape& shape, PostgresWrites& writes) {
  if (shape.columns.empty()) {
    if (tape_.root().traits != 0) {
      return false;
    }
    writes.append_value(
        tape_.text().substr(tape_.root().begin, tape_.root().end - tape_.root().begin)
    );
    return true;
  }
  std::uint32_t at = 1;
  for (const PostgresColumn& column : shape.columns) {
    if (!add_value(column, at + 1, writes)) {
      return false;
    }
    at = tape_.node(at + 1).next;
  }
  return true;
}

bool QuickRows::add_value(
    const PostgresColumn& column, std::uint32_t node, PostgresWrites& writes
) {
  const JsonTape::Node& value = tape_.node(node);
  if (value.kind == JsonKind::kNull) {
    writes.append_value(std::nullopt);
    return true;
  }
  const bool is_container = value.kind == JsonKind::kArray || value.kind == JsonKind::kObject;
  if (is_json_column(column) || is_container) {
    const bool is_list = value.kind == JsonKind::kArray && column.category == 'A';
    if (value.traits != 0 || (is_list && !is_json_column(column))) {
      return false;
    }
    writes.append_value(json_text(tape_, value));
    return true;
  }
  switch (value.kind) {
    case JsonKind::kTrue:
      writes.append_value(column.category == 'N' ? "1" : "true");
      return true;
    case JsonKind::kFalse:
      writes.append_value(column.category == 'N' ? "0" : "false");
      return true;
    case JsonKind::kNumber:
      return add_number(column, node, writes);
    default:
      break;
  }
  if (tape_.raw(value).find('\\') == std::string_view::npos) {
    writes.append_value(tape_.raw(value));
    return true;
  }
  text_.clear();
  sql::append_unescaped(tape_.raw(value), text_);
  writes.append_value(text_);
  return true;
}

bool QuickRows::add_number(const PostgresColumn& column, std::uint32_t node, PostgresWrites& writes)
    const {
  const JsonTape::Node& value = tape_.node(node);
  const std::string_view raw = tape_.raw(value);
  const bool is_whole = raw.find_first_of(".eE") == std::string_view::npos;
  if (value.traits != 0 || raw.size() > kDigitsMax || column.type == "bool") {
    return false;
  }
  if (column.type == "timestamptz" || column.type == "timestamp") {
    std::int64_t epoch_ms = 0;
    if (!is_whole ||
        std::from_chars(raw.data(), raw.data() + raw.size(), epoch_ms).ec != std::errc()) {
      return false;
    }
    // The long way knows which numbers are no times.
    const PostgresValue time = to_postgres(json::value(epoch_ms), column);
    writes.append_value(time ? std::optional<std::string_view>(*time) : std::nullopt);
    return true;
  }
  if (!is_whole && column.category != 'N') {
    return false;  // as text they may be written in another way
  }
  writes.append_value(raw);
  return true;
}

}  // namespace iotcore::rules::actions
