// Rules that a file made and the API has deleted.
#include "rules/rule_catalog.h"

#include <algorithm>

namespace iotcore::rules {

// Of the rules that the API has deleted: those that the file has again.
std::vector<std::string> RuleCatalog::brought_back(
    const FileChange& change, const std::vector<Change>& changes
) const {
  std::vector<std::string> names;
  const std::lock_guard lock(mutex_);
  for (const RuleDefinition& definition : change.rules) {
    if (taken_back_.contains(definition.name) &&
        std::ranges::find(changes, definition.name, &Change::name) != changes.end()) {
      names.push_back(definition.name);
    }
  }
  return names;
}

}  // namespace iotcore::rules
