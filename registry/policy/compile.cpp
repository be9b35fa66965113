#include "registry/policy/compile.h"

#include "base/check.h"
#include "registry/policy/condition.h"
#include "registry/policy/glob_table.h"
#include "registry/policy/pattern.h"
#include "registry/policy/residual.h"
#include "registry/policy/text.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace iotcore::registry::policy {
namespace {

constexpr std::size_t kActionCount = static_cast<std::size_t>(Action::kCount_);
constexpr std::size_t kKindCount = static_cast<std::size_t>(ResourceKind::kCount_);
constexpr std::size_t kWordBits = 64;

struct GlobRange {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  bool whole_arn = false;  // to be matched with the whole ARN and not with the name alone
};

struct CompiledStatement {
  std::uint16_t policy;
  std::uint16_t statement;
  bool denies;
  bool not_action;
  bool not_resource;
  bool has_variables;
  bool asks_for_time;
  const Statement* source;
  std::vector<Pattern> actions;             // lower case
  std::vector<std::uint16_t> variables;     // in its resources
  GlobRange resources;                      // for whole ARNs
  std::array<GlobRange, kKindCount> names;  // for what follows "…:topic/" and so on

  Decision decision() const {
    return {denies ? Verdict::kExplicitDeny : Verdict::kAllowed, policy, statement};
  }
};

bool names_action(const CompiledStatement& statement, std::string_view lower_name) {
  return std::any_of(statement.actions.begin(), statement.actions.end(), [&](const Pattern& p) {
    const bool plain = p.size() == 1 && p.front().kind == Part::Kind::kText;
    return plain ? p.front().text == lower_name : matches(p, lower_name);
  });
}

bool action_matches(const CompiledStatement& statement, std::string_view action) {
  const std::optional<Action> known = find_action(action);
  const std::string_view old_name = known ? action_info(*known).old_name : std::string_view();
  const bool named = names_action(statement, lower(action)) ||
                     (!old_name.empty() && names_action(statement, lower(old_name)));
  return named != statement.not_action;
}

}  // namespace

struct CompiledPolicies::Program {
  std::vector<NamedDocument> policies;
  std::string arn_prefix;
  GlobTable table;
  std::vector<GlobTable::Glob> globs;
  std::vector<CompiledStatement> statements;
  // Of each action the statements that may match it: those that deny first, so that the first match
  // decides.
  std::array<std::vector<std::uint16_t>, kActionCount> by_action;
  bool asks_for_time = false;

  std::size_t alive_words() const { return (statements.size() + kWordBits - 1) / kWordBits; }

  void add_statement(std::size_t policy, std::size_t index);
  GlobRange add_resources(const std::vector<Pattern>& patterns);
  void list_actions();

  bool matches(const GlobRange& range, std::string_view text, const BoundValuesView& values) const {
    const GlobTable::Glob* glob = globs.data() + range.first;
    for (const GlobTable::Glob* const end = glob + range.count; glob != end; ++glob) {
      if (table.matches(*glob, text, values)) {
        return true;
      }
    }
    return false;
  }
};

GlobRange CompiledPolicies::Program::add_resources(const std::vector<Pattern>& patterns) {
  GlobRange range;
  range.first = static_cast<std::uint32_t>(globs.size());
  for (const Pattern& pattern : patterns) {
    globs.push_back(table.add(pattern));
  }
  range.count = static_cast<std::uint32_t>(patterns.size());
  return range;
}

void CompiledPolicies::Program::add_statement(std::size_t policy, std::size_t index) {
  const Document& document = policies[policy].document;
  const Statement& source = document.statements[index];
  CompiledStatement statement{
      .policy = static_cast<std::uint16_t>(policy),
      .statement = static_cast<std::uint16_t>(index),
      .denies = source.effect == Effect::kDeny,
      .not_action = source.not_action,
      .not_resource = source.not_resource,
      .has_variables = document.has_variables,
      .asks_for_time = std::any_of(
          source.conditions.begin(),
          source.conditions.end(),
          [&](const Condition& c) { return depends_on_time(c, document.has_variables); }
      ),
      .source = &source,
      .actions = {},
      .variables = {},
      .resources = {},
      .names = {},
  };
  asks_for_time = asks_for_time || statement.asks_for_time;
  for (const std::string& text : source.actions) {
    statement.actions.push_back(parse_pattern(lower(text), false));
  }
  std::vector<Pattern> patterns;
  for (const std::string& text : source.resources) {
    patterns.push_back(parse_pattern(text, document.has_variables));
    for (const Part& part : patterns.back()) {
      if (part.kind == Part::Kind::kVariable) {
        statement.variables.push_back(table.variable_index(part.text));
      }
    }
  }
  statement.resources = add_resources(patterns);
  for (std::size_t kind = 0; kind < kKindCount; ++kind) {
    std::string prefix = arn_prefix;
    prefix.append(resource_prefix(static_cast<ResourceKind>(kind)));
    if (static_cast<ResourceKind>(kind) == ResourceKind::kAny) {
      prefix.clear();
    }
    std::vector<Pattern> names;
    bool whole_arn = false;
    for (const Pattern& pattern : patterns) {
      std::optional<std::vector<Pattern>> rest = residuals(pattern, prefix);
      whole_arn = whole_arn || !rest;
      if (rest) {
        names.insert(names.end(), rest->begin(), rest->end());
      }
    }
    statement.names[kind] = whole_arn ? statement.resources : add_resources(names);
    statement.names[kind].whole_arn = whole_arn;
  }
  statements.push_back(std::move(statement));
}

void CompiledPolicies::Program::list_actions() {
  for (std::size_t action = 0; action < kActionCount; ++action) {
    const ActionInfo& info = action_info(static_cast<Action>(action));
    for (const bool denies : {true, false}) {
      for (std::size_t i = 0; i < statements.size(); ++i) {
        const CompiledStatement& statement = statements[i];
        const bool can_match = statement.not_resource ||
                               statement.names[static_cast<std::size_t>(info.resource)].count != 0;
        if (statement.denies == denies && can_match && action_matches(statement, info.name)) {
          by_action[action].push_back(static_cast<std::uint16_t>(i));
        }
      }
    }
  }
}

CompiledPolicies::CompiledPolicies(std::unique_ptr<const Program> program)
    : program_(std::move(program)) {}

CompiledPolicies::~CompiledPolicies() = default;

std::shared_ptr<const CompiledPolicies> CompiledPolicies::compile(
    std::vector<NamedDocument> policies, std::string_view arn_prefix
) {
  auto program = std::make_unique<Program>();
  program->policies = std::move(policies);
  program->arn_prefix = arn_prefix;
  for (std::size_t p = 0; p < program->policies.size(); ++p) {
    for (std::size_t s = 0; s < program->policies[p].document.statements.size(); ++s) {
      program->add_statement(p, s);
    }
  }
  IOTCORE_CHECK(program->statements.size() <= std::numeric_limits<std::uint16_t>::max());
  program->list_actions();
  return std::shared_ptr<const CompiledPolicies>(new CompiledPolicies(std::move(program)));
}

std::span<const NamedDocument> CompiledPolicies::policies() const {
  return program_->policies;
}

std::string_view CompiledPolicies::policy_name(const Decision& decision) const {
  return decision.verdict == Verdict::kImplicitDeny
             ? std::string_view()
             : std::string_view(program_->policies[decision.policy].name);
}

std::string_view CompiledPolicies::sid(const Decision& decision) const {
  return decision.verdict == Verdict::kImplicitDeny
             ? std::string_view()
             : std::string_view(
                   program_->policies[decision.policy].document.statements[decision.statement].sid
               );
}

BoundPolicies CompiledPolicies::bind(const Context& context) const {
  const Program& program = *program_;
  const std::vector<std::string>& variables = program.table.variables();
  std::string values;
  std::vector<std::uint32_t> ends;
  std::vector<bool> has_value;
  for (const std::string& variable : variables) {
    const std::optional<std::string> value = context.substitute(variable);
    has_value.push_back(value.has_value());
    values.append(value.value_or(std::string()));
    ends.push_back(static_cast<std::uint32_t>(values.size()));
  }
  BoundPolicies bound(shared_from_this());
  const std::size_t words = program.alive_words();
  const std::size_t bytes = ends.size() * sizeof(std::uint32_t) + values.size();
  bound.block_ = std::make_unique<std::uint64_t[]>(words + (bytes + 7) / 8);
  auto* const bound_ends = reinterpret_cast<std::uint32_t*>(bound.block_.get() + words);
  std::copy(ends.begin(), ends.end(), bound_ends);
  std::copy(values.begin(), values.end(), reinterpret_cast<char*>(bound_ends + ends.size()));

  std::vector<std::string> missing;
  for (std::size_t i = 0; i < program.statements.size(); ++i) {
    const CompiledStatement& statement = program.statements[i];
    const bool complete =
        std::all_of(statement.variables.begin(), statement.variables.end(), [&](std::uint16_t v) {
          return has_value[v];
        });
    const std::vector<Condition>& conditions = statement.source->conditions;
    const bool alive =
        complete && std::all_of(conditions.begin(), conditions.end(), [&](const Condition& c) {
          return depends_on_time(c, statement.has_variables) ||
                 holds(c, statement.has_variables, context, missing);
        });
    if (alive) {
      bound.block_[i / kWordBits] |= std::uint64_t{1} << (i % kWordBits);
    }
  }
  if (program.asks_for_time) {
    bound.context_ = std::make_unique<const Context>(context);
  }
  return bound;
}

Explanation CompiledPolicies::explain(
    const Context& context, std::string_view action, std::span<const std::string_view> resources
) const {
  Explanation explanation = evaluate(program_->policies, context, action, resources);
  explanation.decision = bind(context).decide(action, resources);
  explanation.policy_name = policy_name(explanation.decision);
  explanation.sid = sid(explanation.decision);
  return explanation;
}

BoundPolicies::BoundPolicies(std::shared_ptr<const CompiledPolicies> policies)
    : policies_(std::move(policies)) {}

BoundPolicies::BoundPolicies(BoundPolicies&& other) noexcept = default;
BoundPolicies& BoundPolicies::operator=(BoundPolicies&& other) noexcept = default;
BoundPolicies::~BoundPolicies() = default;

template <typename MatchesResource>
bool BoundPolicies::statement_matches(std::size_t index, const MatchesResource& matches_resource)
    const {
  if ((block_[index / kWordBits] >> (index % kWordBits) & 1) == 0) {
    return false;
  }
  const CompiledPolicies::Program& program = *policies_->program_;
  const CompiledStatement& statement = program.statements[index];
  const auto* const ends =
      reinterpret_cast<const std::uint32_t*>(block_.get() + program.alive_words());
  const BoundValuesView values{
      ends, reinterpret_cast<const char*>(ends + program.table.variables().size())};
  if (!matches_resource(program, statement, values)) {
    return false;
  }
  if (!statement.asks_for_time) [[likely]] {
    return true;
  }
  const std::vector<Condition>& conditions = statement.source->conditions;
  return std::all_of(conditions.begin(), conditions.end(), [&](const Condition& condition) {
    std::vector<std::string> missing;
    return !depends_on_time(condition, statement.has_variables) ||
           holds(condition, statement.has_variables, *context_, missing);
  });
}

namespace {

template <typename Program>
bool name_matches(
    const Program& program,
    const CompiledStatement& statement,
    ResourceKind kind,
    std::string_view name,
    const BoundValuesView& values
) {
  const GlobRange& range = statement.names[static_cast<std::size_t>(kind)];
  if (!range.whole_arn) [[likely]] {
    return program.matches(range, name, values) != statement.not_resource;
  }
  std::string arn = kind == ResourceKind::kAny ? std::string() : program.arn_prefix;
  arn.append(resource_prefix(kind)).append(name);
  return program.matches(range, arn, values) != statement.not_resource;
}

}  // namespace

Decision BoundPolicies::decide(Action action, std::string_view name) const {
  const ResourceKind kind = action_info(action).resource;
  const CompiledPolicies::Program& program = *policies_->program_;
  for (const std::uint16_t i : program.by_action[static_cast<std::size_t>(action)]) {
    if (statement_matches(i, [&](const auto& p, const auto& statement, const auto& values) {
          return name_matches(p, statement, kind, name, values);
        })) {
      return program.statements[i].decision();
    }
  }
  return {};
}

Decision BoundPolicies::decide(std::string_view action, std::span<const std::string_view> resources)
    const {
  const CompiledPolicies::Program& program = *policies_->program_;
  const auto resource_matches = [&](const auto& p, const auto& statement, const auto& values) {
    return std::any_of(resources.begin(), resources.end(), [&](std::string_view resource) {
      return p.matches(statement.resources, resource, values) != statement.not_resource;
    });
  };
  for (const bool denies : {true, false}) {
    for (std::size_t i = 0; i < program.statements.size(); ++i) {
      const CompiledStatement& statement = program.statements[i];
      if (statement.denies == denies && action_matches(statement, action) &&
          statement_matches(i, resource_matches)) {
        return statement.decision();
      }
    }
  }
  return {};
}

}  // namespace iotcore::registry::policy
