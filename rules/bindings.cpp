#include "rules/bindings.h"

#include "rules/member_reader.h"
#include "rules/sql/source_error.h"

#include <fmt/format.h>

#include <vector>

namespace iotcore::rules {
namespace {

std::string no_such_target(
    std::string_view name, std::string_view kind, const SinkEnvironment& environment
) {
  std::vector<TargetRef> all;
  if (environment.targets != nullptr) {
    all = environment.targets->list();
  }
  std::vector<std::string_view> names;
  for (const TargetRef& target : all) {
    if (kind.empty() || target->kind == kind) {
      names.push_back(target->name);
    }
  }
  const std::string_view meant = sql::nearest(name, names);
  return fmt::format(
      "there is no target '{}'{}",
      name,
      meant.empty() ? std::string() : fmt::format("; did you mean '{}'?", meant)
  );
}

}  // namespace

TargetRef read_target(
    MemberReader& members,
    std::string_view name,
    std::string_view kind,
    const SinkEnvironment& environment
) {
  const std::string wanted = members.text(name);
  if (wanted.empty()) {
    return nullptr;
  }
  TargetRef found = environment.targets == nullptr ? nullptr : environment.targets->find(wanted);
  if (found == nullptr) {
    members.fail_member(name, no_such_target(wanted, kind, environment));
  } else if (found->kind != kind) {
    members.fail_member(
        name, fmt::format("target '{}' is of kind {}, not {}", wanted, found->kind, kind)
    );
    return nullptr;
  }
  return found;
}

std::string bound_target(
    std::string_view kind, const sql::Template& name, const SinkEnvironment& environment
) {
  if (environment.targets == nullptr) {
    return std::string(kBuiltInTarget);
  }
  if (!name.is_literal()) {
    return std::string(environment.targets->binds_any(kind) ? kBoundByRecord : kBuiltInTarget);
  }
  const TargetRef bound = environment.targets->bind(kind, name.text());
  return bound == nullptr ? std::string(kBuiltInTarget) : bound->name;
}

Result<TargetRef> target_of_sink(std::string_view target, const SinkEnvironment& environment) {
  TargetRef found = environment.targets == nullptr ? nullptr : environment.targets->find(target);
  if (found == nullptr) {
    return fail(Errc::kNotFound, no_such_target(target, "", environment));
  }
  return found;
}

}  // namespace iotcore::rules
