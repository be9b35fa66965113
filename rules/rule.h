#pragma once

#include "rules/action.h"
#include "rules/definition_error.h"
#include "rules/delivery_options.h"
#include "rules/rule_definition.h"
#include "rules/sql/program.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace iotcore::rules {

struct RuleAction {
  const ActionKind* kind = nullptr;
  std::unique_ptr<const Action> action;
  DeliveryOptions delivery;
  std::string sink;   // "sqlite alerts.db": kind and target name the sink that all rules share
  std::string label;  // "SqliteAction": `failedAction` of the errorAction
  bool calls_external = false;  // a template of it does, before the record is made
};

// A rule, checked and compiled. Immutable, any thread.
struct Rule {
  RuleDefinition definition;
  sql::Program program;
  std::vector<RuleAction> actions;
  std::optional<RuleAction> error_action;

  // Whether a template of its actions calls functions that ask others.
  bool templates_call_external() const;
  // Whether one of its actions is a publish here.
  bool publishes() const;
  const RuleAction* action(std::int32_t index) const;
};

// kSqlParse for the statement, kInvalidRequest for everything else.
Checked<std::shared_ptr<const Rule>> compile_rule(
    RuleDefinition definition,
    const SinkEnvironment& environment,
    const sql::CompileOptions& options = {}
);

// The sink's id and back.
std::string sink_id(std::string_view kind, std::string_view target);
Result<std::unique_ptr<Sink>> make_sink(
    std::string_view sink_id, const SinkEnvironment& environment
);
const ActionKind* kind_of_sink(std::string_view sink_id);
// Of several that deliver for one action (`concurrency`): "postgres@2 db"; the first is the sink itself.
std::string sink_lane(std::string_view sink_id, std::size_t lane);
std::string_view kind_name_of_sink(std::string_view sink_id);
std::string_view target_of_sink_id(std::string_view sink_id);

}  // namespace iotcore::rules
