#pragma once

#include "rules/rule.h"
#include "rules/rule_definition.h"
#include "rules/rule_set.h"
#include "rules/sinks.h"
#include "rules/targets.h"
#include "store/store.h"

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

// One rule of the account, running or not.
struct CatalogRule {
  RuleDefinition definition;
  std::int64_t created_ms = 0;
  std::string file;  // the rule file that it belongs to; empty: it belongs to the API
  bool created_by_file = false;
  std::string file_digest;
  std::optional<std::string> topic_filter;
  std::string error;  // why it can't run; empty: it can
};

// What a rule file says now: rules and targets to be, and to go.
struct FileChange {
  std::string file;
  std::vector<RuleDefinition> rules;
  std::vector<Target> targets;  // checked
};

struct CatalogOptions {
  sql::CompileOptions compile;
  bool is_strict = false;  // LiveRule::is_strict
  // Rules of files are changed there only. False: the API may change them too, which holds until the file says something else of them.
  bool files_win = true;
  std::size_t rules_max = 100'000;
};

// All rules of the account: kept in the store, compiled, and live as long as they are enabled. Changes block, are made one after the other,
// and have taken effect when the call returns.
class RuleCatalog {
 public:
  RuleCatalog(
      store::Store& store,
      RuleSet& live,
      Sinks& sinks,
      Targets& targets,
      RuleMetricsTable& metrics,
      const Clock& clock,
      CatalogOptions options
  );

  // The targets that rule files had when the last run ended; before anything that delivers to them.
  Status load_targets();
  Status load();

  // kAlreadyExists.
  Status create(RuleDefinition rule);
  // kUnauthorized if there is none, as AWS has it; kConflictingResourceUpdate if it belongs to a rule file.
  Status replace(RuleDefinition rule);
  Status erase(std::string_view name);
  Status set_enabled(std::string_view name, bool enabled);
  // Puts what `change` makes of a rule's tags in their place; the rule runs on as it is. kNotFound.
  Status change_tags(
      std::string_view name,
      const std::function<Status(std::map<std::string, std::string>&)>& change
  );
  Result<CatalogRule> get(std::string_view name) const;

  // Calls visit(const CatalogRule&) for rules in the order of their names, from after `after` on, until it answers false.
  void list(std::string_view after, const std::function<bool(const CatalogRule&)>& visit) const;

  // Makes the rules and targets of that file those that it says now; none: the file is gone. All or nothing. Rules of others whose actions go
  // elsewhere by that are bound anew; one that names a target that has gone stops running, and runs again when it is back.
  Status apply_file(const FileChange& change);
  // Makes the targets of the configuration those that are given, which are checked. kAlreadyExists: a rule file has one of that name; nothing changes then.
  Status apply_configured_targets(std::vector<Target> targets);

  // A secret may be another: what delivers by it connects anew.
  void secrets_changed() { sinks_.targets_changed(targets_.renew_where_secrets_changed()); }

  // The files that rules or targets belong to.
  std::vector<std::string> files() const;

  // Every rule file has been read: what waits for targets that are still unknown fails.
  void files_read() { sinks_.targets_known(); }

  // Forgets every rule: /_iotcore/reset.
  Status wipe();

 private:
  struct Change {
    std::string name;
    std::optional<CatalogRule> rule;  // none: erase
    LiveRuleRef live;                 // none: not running
    bool is_bound_anew = false;       // the rule itself is as it was
  };

  // What changes with the targets of a file.
  struct TargetChange {
    std::set<std::string, std::less<>> names;  // changed, new or gone
    std::vector<Target> before;
  };

  Result<Change> prepare(CatalogRule rule) const;
  // Of what somebody asks for now: it is checked besides whether its roles are allowed.
  Result<Change> prepare_written(CatalogRule rule) const;
  Result<TargetChange> replace_targets(const FileChange& change);
  Result<std::vector<Change>> changes_of(const FileChange& change) const;
  // Of rules that stay as they are, but for where their actions go.
  std::vector<Change> bind_anew(const std::vector<Change>& changing) const;
  std::vector<std::string> brought_back(
      const FileChange& change, const std::vector<Change>& changes
  ) const;
  void take_effect(Change change);
  Status commit(std::vector<Change> changes, store::Batch batch = store::Batch());
  Result<LiveRuleRef> make_live(std::shared_ptr<const Rule> rule) const;

  store::Store& store_;
  RuleSet& live_;
  Sinks& sinks_;
  Targets& targets_;
  RuleMetricsTable& metrics_;
  const Clock& clock_;
  const CatalogOptions options_;
  std::mutex
      changing_;  // held over a whole change, its commit included: changes are rare, and readers don't wait for it
  mutable std::mutex mutex_;  // and what follows
  std::map<std::string, CatalogRule, std::less<>> rules_;
  std::map<std::string, std::string, std::less<>>
      taken_back_;  // by name: the digest of what a file says and the API has deleted
};

}  // namespace iotcore::rules
