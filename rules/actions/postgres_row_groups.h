#pragma once

#include "rules/actions/postgres_writes.h"

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace iotcore::rules::actions {

// Rows of one transaction as few statements: those of the same shape together. What a table has in the end is what it had if each row were written by
// itself, in order: of rows that overwrite one another by the same key, a statement has the last only, and rows of several shapes change places only if their keys
// are others. Rows of several tables change places, which nobody can see but a foreign key; what fails so is done again row by row.
class PostgresRowGroups {
 public:
  struct Group {
    const PostgresShape* shape;
    std::vector<std::string_view> rows;  // as add_row() left them
  };

  // What it is given stays where it is.
  void add(const PostgresShape& shape, std::string_view row);

  std::span<const Group> groups() const { return groups_; }

 private:
  struct Place {
    std::size_t group;
    std::size_t row;
  };

  struct Table {
    std::unordered_map<std::string, Place> rows;         // by key
    std::map<const PostgresShape*, std::size_t> groups;  // the last of each shape
    std::size_t newest = 0;
    std::size_t open =
        0;  // groups before that one are closed: a row whose key is not known came behind them
  };

  std::size_t group_for(Table& table, const PostgresShape& shape, std::size_t not_before);

  std::vector<Group> groups_;
  std::map<std::string, Table, std::less<>> tables_;
};

// The rows of a group as the parameters of PostgresShape::insert_all(): an array of texts for each column.
std::vector<PostgresValue> array_parameters(const PostgresRowGroups::Group& group);

}  // namespace iotcore::rules::actions
