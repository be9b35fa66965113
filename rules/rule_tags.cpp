#include "proto/record/rules.pb.h"
#include "rules/keys.h"
#include "rules/rule_catalog.h"

#include <fmt/format.h>

namespace iotcore::rules {

Status RuleCatalog::change_tags(
    std::string_view name, const std::function<Status(std::map<std::string, std::string>&)>& change
) {
  const std::lock_guard changing(changing_);
  Result<CatalogRule> rule = get(name);
  if (!rule) {
    return fail(Errc::kNotFound, fmt::format("Rule '{}' does not exist", name));
  }
  auto& shown = rule->definition.tags;
  std::map<std::string, std::string> tags(shown.begin(), shown.end());
  IOTCORE_TRY(change(tags));
  shown.assign(tags.begin(), tags.end());

  IOTCORE_ASSIGN(const auto stored, store_.get(keys::kRules, keys::rule(name)));
  record::Rule row;
  if (!stored || !row.ParseFromString(stored->value)) {
    return fail(Errc::kStoreCorrupt, fmt::format("the row of rule '{}' cannot be read", name));
  }
  row.clear_tags();
  for (const auto& [key, value] : tags) {
    record::Rule::Tag& tag = *row.add_tags();
    tag.set_key(key);
    tag.set_value(value);
  }
  store::Batch batch;
  batch.put(keys::kRules, keys::rule(name), row.SerializeAsString());
  IOTCORE_TRY(store_.commit_wait(std::move(batch)));
  const std::lock_guard lock(mutex_);
  rules_.insert_or_assign(std::string(name), *std::move(rule));
  return {};
}

}  // namespace iotcore::rules
