#include "rules/actions/postgres_row_groups.h"

#include <algorithm>
#include <optional>

namespace iotcore::rules::actions {
namespace {

constexpr std::string_view kNull = "\\N";

// The values of a row as COPY's text has them, one after the other.
class RowReader {
 public:
  explicit RowReader(std::string_view row) : rest_(row) {
    rest_.remove_suffix(rest_.ends_with('\n') ? 1 : 0);
  }

  std::string_view next() {
    const std::size_t end = std::min(rest_.find('\t'), rest_.size());
    const std::string_view value = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return value;
  }

 private:
  std::string_view rest_;
};

// Nothing: a part of it is NULL, so that no other row has the same key.
std::optional<std::string> key_of(const PostgresShape& shape, std::string_view row) {
  std::string key;
  RowReader reader(row);
  for (std::size_t i = 0; i < shape.column_count; ++i) {
    const std::string_view value = reader.next();
    if (std::ranges::find(shape.key, i) == shape.key.end()) {
      continue;
    }
    if (value == kNull) {
      return std::nullopt;
    }
    key += value;
    key += '\t';
  }
  return key;
}

// From COPY's text to that of an array's element.
void append_element(std::string& out, std::string_view value) {
  if (value == kNull) {
    out += "NULL";
    return;
  }
  out += '"';
  for (std::size_t i = 0; i < value.size(); ++i) {
    char c = value[i];
    if (c == '\\' && i + 1 < value.size()) {
      c = copy_letter(value[++i]);
    }
    if (c == '\\' || c == '"') {
      out += '\\';
    }
    out += c;
  }
  out += '"';
}

}  // namespace

std::size_t PostgresRowGroups::group_for(
    Table& table, const PostgresShape& shape, std::size_t not_before
) {
  const auto found = table.groups.find(&shape);
  if (found != table.groups.end() && found->second >= not_before) {
    return found->second;
  }
  groups_.push_back({&shape, {}});
  table.newest = groups_.size() - 1;
  table.groups[&shape] = table.newest;
  return table.newest;
}

void PostgresRowGroups::add(const PostgresShape& shape, std::string_view row) {
  Table& table = tables_[shape.table];
  if (shape.key.empty()) {
    const std::size_t group = group_for(table, shape, table.newest);
    groups_[group].rows.push_back(row);
    table.open = group;
    return;
  }
  std::optional<std::string> key = key_of(shape, row);
  const auto known = key ? table.rows.find(*key) : table.rows.end();
  std::size_t not_before = table.open;
  if (known != table.rows.end()) {
    not_before = std::max(not_before, known->second.group);
  }
  const std::size_t group = group_for(table, shape, not_before);
  if (known != table.rows.end() && known->second.group == group) {
    groups_[group].rows[known->second.row] = row;
    return;
  }
  groups_[group].rows.push_back(row);
  if (key) {
    table.rows.insert_or_assign(*std::move(key), Place{group, groups_[group].rows.size() - 1});
  }
}

std::vector<PostgresValue> array_parameters(const PostgresRowGroups::Group& group) {
  std::vector<std::string> arrays(group.shape->column_count, "{");
  for (const std::string_view row : group.rows) {
    RowReader reader(row);
    for (std::string& array : arrays) {
      if (array.size() > 1) {
        array += ',';
      }
      append_element(array, reader.next());
    }
  }
  std::vector<PostgresValue> parameters;
  for (std::string& array : arrays) {
    array += '}';
    parameters.emplace_back(std::move(array));
  }
  return parameters;
}

}  // namespace iotcore::rules::actions
