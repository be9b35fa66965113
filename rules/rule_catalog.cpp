#include "rules/rule_catalog.h"

#include "base/crypto.h"
#include "base/log.h"
#include "proto/record/rules.pb.h"
#include "rules/keys.h"
#include "rules/rule_roles.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace iotcore::rules {
namespace {

std::string digest_of(const RuleDefinition& rule) {
  std::string text = to_json(to_topic_rule_payload(rule));
  for (const auto& [key, value] : rule.tags) {
    text.append("\n").append(key).append("=").append(value);
  }
  return std::string(as_text(sha256(text)));
}

record::Rule to_row(const CatalogRule& rule) {
  record::Rule row;
  row.set_payload_json(to_json(to_topic_rule_payload(rule.definition)));
  row.set_created_ms(rule.created_ms);
  for (const auto& [key, value] : rule.definition.tags) {
    record::Rule::Tag& tag = *row.add_tags();
    tag.set_key(key);
    tag.set_value(value);
  }
  row.set_file(rule.file);
  row.set_created_by_file(rule.created_by_file);
  row.set_file_digest(rule.file_digest);
  return row;
}

Result<CatalogRule> from_row(const store::Entry& entry) {
  store::KeyReader key(entry.key);
  key.kind();
  const std::string name = key.text().value_or("");
  record::Rule row;
  if (name.empty() || !row.ParseFromString(entry.value)) {
    return fail(Errc::kStoreCorrupt, "a row of the rules cannot be read");
  }
  IOTCORE_ASSIGN(const json::value payload, parse_json(row.payload_json()));
  if (!payload.is_object()) {
    return fail(Errc::kStoreCorrupt, fmt::format("the row of rule '{}' cannot be read", name));
  }
  CatalogRule rule;
  IOTCORE_ASSIGN(rule.definition, from_topic_rule_payload(name, payload.get_object()));
  for (const record::Rule::Tag& tag : row.tags()) {
    rule.definition.tags.emplace_back(tag.key(), tag.value());
  }
  rule.created_ms = row.created_ms();
  rule.file = row.file();
  rule.created_by_file = row.created_by_file();
  rule.file_digest = row.file_digest();
  return rule;
}

constexpr std::size_t kFilesMax = 100'000;

record::FileTargets to_row(const std::vector<Target>& targets) {
  record::FileTargets row;
  for (const Target& target : targets) {
    record::FileTargets::Target& one = *row.add_targets();
    one.set_name(target.name);
    one.set_kind(target.kind);
    one.set_options_json(to_json(target.options));
  }
  return row;
}

std::vector<Target> targets_from_row(const store::Entry& entry) {
  std::vector<Target> targets;
  record::FileTargets row;
  if (!row.ParseFromString(entry.value)) {
    log(LogLevel::kError, "target.unusable", {{"error", "a row cannot be read"}});
    return targets;
  }
  for (const record::FileTargets::Target& one : row.targets()) {
    const Result<json::value> options = parse_json(one.options_json());
    if (options && options->is_object()) {
      targets.push_back({one.name(), one.kind(), options->get_object(), "", ""});
    }
  }
  return targets;
}

tl::unexpected<Error> denied(std::string_view name) {
  // What AWS answers for a rule that is not there.
  return fail(Errc::kUnauthorized, fmt::format("Access to topic rule '{}' was denied", name));
}

bool has_same_sinks(const Rule& a, const Rule& b) {
  const auto same = [](const RuleAction& one, const RuleAction& other) {
    return one.sink == other.sink;
  };
  return std::ranges::equal(a.actions, b.actions, same) &&
         (!a.error_action || same(*a.error_action, *b.error_action));
}

tl::unexpected<Error> belongs_to_file(const CatalogRule& rule) {
  return fail(
      Errc::kConflictingResourceUpdate,
      fmt::format(
          "Rule '{}' belongs to the rule file '{}': change it there",
          rule.definition.name,
          rule.file
      )
  );
}

}  // namespace

RuleCatalog::RuleCatalog(
    store::Store& store,
    RuleSet& live,
    Sinks& sinks,
    Targets& targets,
    RuleMetricsTable& metrics,
    const Clock& clock,
    CatalogOptions options
)
    : store_(store),
      live_(live),
      sinks_(sinks),
      targets_(targets),
      metrics_(metrics),
      clock_(clock),
      options_(options) {}

Status RuleCatalog::load_targets() {
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows,
      store_.scan(keys::kRules, keys::file_targets(), {}, kFilesMax)
  );
  for (const store::Entry& entry : rows) {
    store::KeyReader key(entry.key);
    key.kind();
    const std::string file = key.text().value_or("");
    std::vector<Target> targets;
    for (Target& target : targets_from_row(entry)) {
      const std::string name = target.name;
      auto checked = check_target(std::move(target));
      if (checked) {
        targets.push_back(std::move(*checked));
      } else {
        log(LogLevel::kError,
            "target.unusable",
            {{"target", name}, {"file", file}, {"error", checked.error().message}});
      }
    }
    if (const Status added = targets_.replace(file, std::move(targets)); !added) {
      log(LogLevel::kError, "target.unusable", {{"file", file}, {"error", added.error().message()}}
      );
    }
  }
  return {};
}

Status RuleCatalog::load() {
  const std::lock_guard changing(changing_);
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows,
      store_.scan(keys::kRules, keys::taken_back(), {}, kFilesMax)
  );
  for (const store::Entry& entry : rows) {
    store::KeyReader key(entry.key);
    key.kind();
    taken_back_.insert_or_assign(key.text().value_or(""), entry.value);
  }
  std::string from;
  constexpr std::size_t kPage = 1000;
  for (;;) {
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> page, store_.scan(keys::kRules, keys::rules(), from, kPage)
    );
    for (const store::Entry& entry : page) {
      IOTCORE_ASSIGN(CatalogRule rule, from_row(entry));
      const std::string name = rule.definition.name;
      Result<Change> change = prepare(rule);
      if (!change) {
        // Kept and shown, not run: it may be good for another version of this server.
        log(LogLevel::kError,
            "rule.cannot_run",
            {{"rule", name}, {"error", change.error().message()}});
        rule.error = change.error().message();
        const std::lock_guard lock(mutex_);
        rules_.insert_or_assign(name, std::move(rule));
        continue;
      }
      take_effect(std::move(*change));
    }
    if (page.size() < kPage) {
      return {};
    }
    from = store::key_after(page.back().key);
  }
}

Result<LiveRuleRef> RuleCatalog::make_live(std::shared_ptr<const Rule> rule) const {
  auto live = std::make_shared<LiveRule>();
  for (const RuleAction& action : rule->actions) {
    std::vector<SinkQueue*> queues;
    if (!action.action->is_publish()) {
      for (std::size_t lane = 0; lane < action.delivery.concurrency; ++lane) {
        IOTCORE_ASSIGN(
            SinkQueue * queue, sinks_.open(sink_lane(action.sink, lane), action.delivery)
        );
        queues.push_back(queue);
      }
    }
    live->lanes.emplace_back(std::move(queues), action.delivery.is_ordered);
  }
  if (rule->error_action) {
    IOTCORE_ASSIGN(
        live->error_queue, sinks_.open(rule->error_action->sink, rule->error_action->delivery)
    );
  }
  live->metrics = &metrics_.of(rule->definition.name);
  live->is_strict = options_.is_strict;
  live->rule = std::move(rule);
  return LiveRuleRef(std::move(live));
}

Result<RuleCatalog::Change> RuleCatalog::prepare(CatalogRule rule) const {
  auto compiled = compile_rule(rule.definition, sinks_.environment(), options_.compile);
  if (!compiled) {
    return fail(to_error(compiled.error()));
  }
  Change change;
  change.name = rule.definition.name;
  rule.topic_filter = (*compiled)->program.topic_filter();
  rule.error.clear();
  if (!rule.definition.disabled) {
    IOTCORE_ASSIGN(change.live, make_live(std::move(*compiled)));
  }
  change.rule = std::move(rule);
  return change;
}

Result<RuleCatalog::Change> RuleCatalog::prepare_written(CatalogRule rule) const {
  if (const auto error = check_roles(rule.definition, sinks_.environment().roles)) {
    return fail(to_error(*error));
  }
  return prepare(std::move(rule));
}

void RuleCatalog::take_effect(Change change) {
  if (change.live) {
    live_.put(std::move(change.live));
  } else {
    live_.remove(change.name);
  }
  const std::lock_guard lock(mutex_);
  if (change.rule) {
    rules_.insert_or_assign(change.name, *std::move(change.rule));
  } else {
    rules_.erase(change.name);
  }
}

Status RuleCatalog::commit(std::vector<Change> changes, store::Batch batch) {
  for (const Change& change : changes) {
    if (change.is_bound_anew) {
      continue;
    }
    if (change.rule) {
      batch.put(keys::kRules, keys::rule(change.name), to_row(*change.rule).SerializeAsString());
    } else {
      batch.erase(keys::kRules, keys::rule(change.name));
    }
  }
  if (!batch.empty()) {
    IOTCORE_TRY(store_.commit_wait(std::move(batch)));
  }
  for (Change& change : changes) {
    if (change.rule && !change.rule->error.empty()) {
      log(LogLevel::kError,
          "rule.cannot_run",
          {{"rule", change.name}, {"error", change.rule->error}});
    } else {
      log(LogLevel::kInfo,
          !change.rule  ? "rule.deleted"
          : change.live ? "rule.running"
                        : "rule.disabled",
          {{"rule", change.name}});
    }
    take_effect(std::move(change));
  }
  return {};
}

Result<CatalogRule> RuleCatalog::get(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = rules_.find(name);
  if (found == rules_.end()) {
    return denied(name);
  }
  return found->second;
}

Status RuleCatalog::create(RuleDefinition rule) {
  const std::lock_guard changing(changing_);
  if (get(rule.name)) {
    // What is wrong in itself is said first, as AWS does.
    auto compiled = compile_rule(rule, sinks_.environment(), options_.compile);
    if (!compiled) {
      return fail(to_error(compiled.error()));
    }
    return fail(
        Errc::kAlreadyExists, fmt::format("Rule with the same name already exists: {}", rule.name)
    );
  }
  {
    const std::lock_guard lock(mutex_);
    if (rules_.size() >= options_.rules_max) {
      return fail(
          Errc::kInvalidRequest, fmt::format("There are {} rules already", options_.rules_max)
      );
    }
  }
  CatalogRule made;
  made.definition = std::move(rule);
  made.created_ms = to_epoch_ms(clock_.wall());
  IOTCORE_ASSIGN(Change change, prepare_written(std::move(made)));
  std::vector<Change> changes;
  changes.push_back(std::move(change));
  return commit(std::move(changes));
}

Status RuleCatalog::replace(RuleDefinition rule) {
  const std::lock_guard changing(changing_);
  IOTCORE_ASSIGN(CatalogRule made, get(rule.name));
  if (!made.file.empty() && options_.files_win) {
    return belongs_to_file(made);
  }
  rule.tags = std::move(made.definition.tags);
  made.definition = std::move(rule);
  IOTCORE_ASSIGN(Change change, prepare_written(std::move(made)));
  std::vector<Change> changes;
  changes.push_back(std::move(change));
  return commit(std::move(changes));
}

Status RuleCatalog::erase(std::string_view name) {
  const std::lock_guard changing(changing_);
  IOTCORE_ASSIGN(const CatalogRule rule, get(name));
  if (!rule.file.empty() && options_.files_win) {
    return belongs_to_file(rule);
  }
  store::Batch batch;
  if (!rule.file.empty()) {
    batch.put(keys::kRules, keys::taken_back(name), rule.file_digest);
  }
  std::vector<Change> changes;
  changes.push_back({std::string(name), std::nullopt, nullptr});
  IOTCORE_TRY(commit(std::move(changes), std::move(batch)));
  if (!rule.file.empty()) {
    const std::lock_guard lock(mutex_);
    taken_back_.insert_or_assign(std::string(name), rule.file_digest);
  }
  return {};
}

Status RuleCatalog::set_enabled(std::string_view name, bool enabled) {
  const std::lock_guard changing(changing_);
  IOTCORE_ASSIGN(CatalogRule rule, get(name));
  if (rule.definition.disabled == !enabled) {
    return {};
  }
  rule.definition.disabled = !enabled;
  IOTCORE_ASSIGN(Change change, prepare(std::move(rule)));
  std::vector<Change> changes;
  changes.push_back(std::move(change));
  return commit(std::move(changes));
}

void RuleCatalog::list(std::string_view after, const std::function<bool(const CatalogRule&)>& visit)
    const {
  const std::lock_guard lock(mutex_);
  for (auto rule = rules_.upper_bound(after); rule != rules_.end(); ++rule) {
    if (!visit(rule->second)) {
      return;
    }
  }
}

Result<RuleCatalog::TargetChange> RuleCatalog::replace_targets(const FileChange& change) {
  TargetChange changed;
  const std::vector<TargetRef> before = targets_.list(change.file);
  for (const TargetRef& target : before) {
    changed.before.push_back(*target);
  }
  IOTCORE_TRY(targets_.replace(change.file, change.targets));
  for (const TargetRef& target : before) {
    if (targets_.find(target->name) != target) {
      changed.names.insert(target->name);
    }
  }
  for (const TargetRef& target : targets_.list(change.file)) {
    if (std::ranges::find(before, target) == before.end()) {
      changed.names.insert(target->name);
    }
  }
  return changed;
}

std::vector<RuleCatalog::Change> RuleCatalog::bind_anew(const std::vector<Change>& changing) const {
  std::vector<CatalogRule> others;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, rule] : rules_) {
      if (!rule.definition.disabled &&
          std::ranges::find(changing, name, &Change::name) == changing.end()) {
        others.push_back(rule);
      }
    }
  }
  std::vector<Change> bound;
  for (CatalogRule& rule : others) {
    const LiveRuleRef live = live_.find(rule.definition.name);
    auto compiled = compile_rule(rule.definition, sinks_.environment(), options_.compile);
    if (compiled && live != nullptr && has_same_sinks(**compiled, *live->rule)) {
      continue;
    }
    Result<Change> change = prepare(rule);
    if (!change) {
      if (live == nullptr) {
        continue;  // it could not run before
      }
      rule.error = change.error().message();
      const std::string name = rule.definition.name;
      change = Change{name, std::move(rule), nullptr, true};
    }
    change->is_bound_anew = true;
    bound.push_back(std::move(*change));
  }
  return bound;
}

Status RuleCatalog::apply_configured_targets(std::vector<Target> targets) {
  const std::lock_guard changing(changing_);
  IOTCORE_ASSIGN(const TargetChange changed, replace_targets({"", {}, std::move(targets)}));
  if (changed.names.empty()) {
    return {};
  }
  IOTCORE_TRY(commit(bind_anew({})));
  sinks_.targets_changed(changed.names);
  return {};
}

Status RuleCatalog::apply_file(const FileChange& change) {
  const std::lock_guard changing(changing_);
  IOTCORE_ASSIGN(TargetChange targets, replace_targets(change));
  const auto refuse = [&](Error why) {
    ignore_error(
        targets_.replace(change.file, std::move(targets.before)), "they were there before"
    );
    sinks_.targets_changed(targets.names);
    return fail(std::move(why));
  };
  Result<std::vector<Change>> changes = changes_of(change);
  if (!changes) {
    return refuse(changes.error());
  }
  store::Batch batch;
  if (!targets.names.empty()) {
    if (change.targets.empty()) {
      batch.erase(keys::kRules, keys::targets_of_file(change.file));
    } else {
      batch.put(
          keys::kRules,
          keys::targets_of_file(change.file),
          to_row(change.targets).SerializeAsString()
      );
    }
    std::ranges::move(bind_anew(*changes), std::back_inserter(*changes));
  }
  const std::vector<std::string> back = brought_back(change, *changes);
  for (const std::string& name : back) {
    batch.erase(keys::kRules, keys::taken_back(name));
  }
  if (const Status done = commit(std::move(*changes), std::move(batch)); !done) {
    return refuse(done.error());
  }
  {
    const std::lock_guard lock(mutex_);
    for (const std::string& name : back) {
      taken_back_.erase(name);
    }
  }
  sinks_.targets_changed(targets.names);
  return {};
}

Result<std::vector<RuleCatalog::Change>> RuleCatalog::changes_of(const FileChange& change) const {
  std::map<std::string, CatalogRule, std::less<>> before;
  std::map<std::string, std::string, std::less<>> taken_back;
  {
    const std::lock_guard lock(mutex_);
    before = rules_;
    taken_back = taken_back_;
  }
  std::vector<Change> changes;
  std::set<std::string, std::less<>> names;
  for (const RuleDefinition& definition : change.rules) {
    names.insert(definition.name);
    CatalogRule rule;
    rule.definition = definition;
    rule.created_ms = to_epoch_ms(clock_.wall());
    rule.file = change.file;
    rule.created_by_file = true;
    rule.file_digest = digest_of(definition);
    if (const auto found = taken_back.find(definition.name);
        found != taken_back.end() && found->second == rule.file_digest) {
      continue;  // the API has deleted it, and the file has not changed it since
    }
    if (const auto found = before.find(definition.name); found != before.end()) {
      const CatalogRule& old = found->second;
      if (!old.file.empty() && old.file != change.file) {
        return fail(
            Errc::kConflict,
            fmt::format("rule '{}' is in '{}' and in '{}'", definition.name, old.file, change.file)
        );
      }
      if (old.file == change.file && old.file_digest == rule.file_digest) {
        continue;  // the file has not changed it
      }
      rule.created_ms = old.created_ms;
      rule.created_by_file = old.file == change.file && old.created_by_file;
    }
    IOTCORE_ASSIGN(Change made, prepare_written(std::move(rule)));
    changes.push_back(std::move(made));
  }
  for (auto& [name, rule] : before) {
    if (rule.file != change.file || names.contains(name)) {
      continue;
    }
    if (rule.created_by_file) {
      changes.push_back({name, std::nullopt, nullptr});
      continue;
    }
    rule.file.clear();
    rule.file_digest.clear();
    IOTCORE_ASSIGN(Change released, prepare(std::move(rule)));
    changes.push_back(std::move(released));
  }
  return changes;
}

std::vector<std::string> RuleCatalog::files() const {
  std::set<std::string> files;
  for (const TargetRef& target : targets_.list()) {
    if (!target->origin.empty()) {
      files.insert(target->origin);
    }
  }
  const std::lock_guard lock(mutex_);
  for (const auto& [name, rule] : rules_) {
    if (!rule.file.empty()) {
      files.insert(rule.file);
    }
  }
  return {files.begin(), files.end()};
}

Status RuleCatalog::wipe() {
  const std::lock_guard changing(changing_);
  std::vector<Change> changes;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, rule] : rules_) {
      changes.push_back({name, std::nullopt, nullptr});
    }
  }
  const std::vector<std::string> files_before = files();
  store::Batch batch;
  batch.erase_range(keys::kRules, keys::taken_back(), store::prefix_end(keys::taken_back().view()));
  batch.erase_range(
      keys::kRules, keys::file_targets(), store::prefix_end(keys::file_targets().view())
  );
  IOTCORE_TRY(commit(std::move(changes), std::move(batch)));
  // Sinks go on with the targets they have until the folder brings them again.
  for (const std::string& file : files_before) {
    ignore_error(targets_.replace(file, {}), "nothing is added");
  }
  const std::lock_guard lock(mutex_);
  taken_back_.clear();
  return {};
}

}  // namespace iotcore::rules
