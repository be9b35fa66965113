#pragma once

#include "rules/action.h"
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

// The first field of a record that is a statement; the statement and a value for each parameter follow.
inline constexpr std::string_view kStatementMode = "statement";

// Runs that statement for each message.
class StatementAction final : public Action {
 public:
  StatementAction(std::string target, BoundStatement statement)
      : target_(std::move(target)), statement_(std::move(statement)) {}

  std::string target() const override { return target_; }

  std::string resource(const Fields& /*fields*/) const override { return target_; }

  Result<Fields> resolve(const ActionInput& input) const override;

 private:
  std::string target_;
  BoundStatement statement_;
};

}  // namespace iotcore::rules::actions
