#include "rules/rule.h"

#include "rules/bindings.h"
#include "rules/member_reader.h"
#include "rules/sql/source_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace iotcore::rules {
namespace {

std::string label_of(std::string_view kind) {
  std::string label(kind);
  label[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(label[0])));
  return label + "Action";
}

// The limit is the built-in target's; others take what is asked for.
std::size_t concurrency_max_of(const ActionKind& kind, std::string_view target) {
  const bool is_bound = kind.is_aws && target != kBuiltInTarget && target != kBoundByRecord;
  return is_bound ? SinkDefaults().concurrency_max : kind.defaults.concurrency_max;
}

Checked<RuleAction> compile_action(
    const json::object& action,
    const std::string& pointer,
    const sql::Program& program,
    const SinkEnvironment& environment
) {
  const std::string_view name = action_kind(action);
  const std::string inner = pointer + "/" + std::string(action_member(action));
  RuleAction compiled;
  compiled.kind = find_action_kind(name);
  if (compiled.kind == nullptr) {
    return tl::unexpected(DefinitionError{
        Errc::kInvalidRequest,
        inner,
        fmt::format(
            "action '{}' is not supported yet; supported are {}", name, action_kind_names()
        )});
  }
  MemberReader members(action_members(action), inner, &program);
  // Roles mean nothing here; what is shown again must be text.
  static_cast<void>(members.optional_text("roleArn"));
  if (action_member(action) == kOwnActions) {
    members.ignore("type");
  }
  ParsedAction parsed = compiled.kind->parse(members, environment);
  if (std::optional<DefinitionError> error = members.finish()) {
    return tl::unexpected(*std::move(error));
  }
  if (!parsed) {
    return tl::unexpected(std::move(parsed).error());
  }
  auto delivery =
      parse_delivery_options(action_delivery(action), pointer + "/" + std::string(kDeliveryMember));
  if (!delivery) {
    return tl::unexpected(std::move(delivery).error());
  }
  compiled.action = std::move(*parsed);
  compiled.delivery = std::move(*delivery);
  compiled.action->fill_in(compiled.delivery);
  // What is published goes on in this turn, with its secrets.
  compiled.calls_external =
      compiled.action->is_publish() ? members.calls_external() : members.has_to_wait();
  const std::string target = compiled.action->target();
  const std::size_t concurrency_max = concurrency_max_of(*compiled.kind, target);
  if (compiled.kind->is_aws) {
    // The same rule goes elsewhere when a target takes its action over: what it says holds there.
    compiled.delivery.concurrency = std::min(compiled.delivery.concurrency, concurrency_max);
  }
  if (compiled.delivery.concurrency > concurrency_max) {
    return tl::unexpected(DefinitionError{
        Errc::kInvalidRequest,
        pointer + "/" + std::string(kDeliveryMember) + "/concurrency",
        fmt::format("{} takes at most {}", compiled.kind->name, concurrency_max)});
  }
  compiled.sink = sink_id(compiled.kind->name, target);
  compiled.label = label_of(compiled.kind->name);
  return compiled;
}

}  // namespace

bool Rule::templates_call_external() const {
  return std::ranges::any_of(actions, [](const RuleAction& action) {
    return action.calls_external;
  });
}

bool Rule::publishes() const {
  return std::ranges::any_of(actions, [](const RuleAction& action) {
    return action.action->is_publish();
  });
}

const RuleAction* Rule::action(std::int32_t index) const {
  if (index == Record::kErrorAction) {
    return error_action ? &*error_action : nullptr;
  }
  const auto at = static_cast<std::size_t>(index);
  return index >= 0 && at < actions.size() ? &actions[at] : nullptr;
}

Checked<std::shared_ptr<const Rule>> compile_rule(
    RuleDefinition definition,
    const SinkEnvironment& environment,
    const sql::CompileOptions& options
) {
  if (const Status valid = validate(definition); !valid) {
    return tl::unexpected(DefinitionError{valid.error().code(), "", valid.error().message()});
  }
  const std::optional<sql::Version> version = sql::parse_version(definition.version);
  if (!version) {
    return tl::unexpected(DefinitionError{
        Errc::kInvalidRequest,
        "/awsIotSqlVersion",
        fmt::format("'{}' is not a version of AWS IoT SQL", definition.version)});
  }
  Result<sql::Program> program = sql::compile(definition.sql, *version, options);
  if (!program) {
    return tl::unexpected(DefinitionError{program.error().code(), "", program.error().message()});
  }
  auto rule =
      std::make_shared<Rule>(Rule{std::move(definition), std::move(*program), {}, std::nullopt});
  for (std::size_t i = 0; i < rule->definition.actions.size(); ++i) {
    auto action = compile_action(
        rule->definition.actions[i].as_object(),
        fmt::format("/actions/{}", i),
        rule->program,
        environment
    );
    if (!action) {
      return tl::unexpected(std::move(action).error());
    }
    rule->actions.push_back(std::move(*action));
  }
  if (rule->definition.error_action) {
    auto action =
        compile_action(*rule->definition.error_action, "/errorAction", rule->program, environment);
    if (!action) {
      return tl::unexpected(std::move(action).error());
    }
    rule->error_action = std::move(*action);
  }
  return std::shared_ptr<const Rule>(std::move(rule));
}

std::string sink_id(std::string_view kind, std::string_view target) {
  std::string id(kind);
  id += ' ';
  return id.append(target);
}

std::string sink_lane(std::string_view sink_id, std::size_t lane) {
  if (lane == 0) {
    return std::string(sink_id);
  }
  const std::size_t space = sink_id.find(' ');
  return fmt::format("{}@{}{}", sink_id.substr(0, space), lane + 1, sink_id.substr(space));
}

std::string_view kind_name_of_sink(std::string_view sink_id) {
  return sink_id.substr(0, sink_id.find_first_of(" @"));
}

std::string_view target_of_sink_id(std::string_view sink_id) {
  return sink_id.substr(std::min(sink_id.size(), sink_id.find(' ') + 1));
}

const ActionKind* kind_of_sink(std::string_view sink_id) {
  return find_action_kind(kind_name_of_sink(sink_id));
}

Result<std::unique_ptr<Sink>> make_sink(
    std::string_view sink_id, const SinkEnvironment& environment
) {
  const ActionKind* kind = kind_of_sink(sink_id);
  const std::size_t space = sink_id.find(' ');
  if (kind == nullptr || space == std::string_view::npos) {
    return fail(Errc::kInvalidRequest, fmt::format("there is no kind of sink for '{}'", sink_id));
  }
  return kind->make_sink(sink_id.substr(space + 1), environment);
}

}  // namespace iotcore::rules
