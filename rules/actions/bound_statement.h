#pragma once

#include "rules/member_reader.h"

#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::actions {

// A statement whose ${…} have become parameters: numbers, never text of the statement.
struct BoundStatement {
  std::string sql;
  std::vector<sql::Template> parameters;
};

// Of member `name`. Finds the ${…} outside of quotes; inside of them one would be text and no parameter. They become ?1, ?2, … or $1, $2, …, as `sign` says.
BoundStatement bind_parameters(std::string_view name, char sign, MemberReader& members);

}  // namespace iotcore::rules::actions
