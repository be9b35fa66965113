// The kinds of targets there are: one line each.
#include "rules/actions/dynamo_db.h"
#include "rules/targets.h"

#include <algorithm>
#include <array>

namespace iotcore::rules {
namespace {

constexpr auto kKinds = std::to_array<TargetKind>({
    {actions::TableTarget::kName, &actions::TableTarget::check},
});

static_assert(std::ranges::is_sorted(kKinds, {}, &TargetKind::name), "in the order of names");

}  // namespace

const TargetKind* find_target_kind(std::string_view name) {
  const auto* const found = std::ranges::find(kKinds, name, &TargetKind::name);
  return found == kKinds.end() ? nullptr : found;
}

std::vector<std::string_view> target_kind_names() {
  std::vector<std::string_view> names;
  for (const TargetKind& kind : kKinds) {
    names.push_back(kind.name);
  }
  return names;
}

}  // namespace iotcore::rules
