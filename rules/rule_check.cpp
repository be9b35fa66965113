#include "rules/rule_check.h"

#include "base/files.h"
#include "rules/rule.h"
#include "rules/rule_roles.h"
#include "rules/rule_test.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace iotcore::rules {
namespace {

std::string plural(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// Where each rule was seen first.
using RuleHomes = std::map<std::string, std::string, std::less<>>;

Result<std::string> read_text(const std::filesystem::path& path) {
  return read_file(path, std::size_t{4} << 20);
}

void add_duplicates(CheckedFile& checked, const std::string& name, RuleHomes& homes) {
  for (const FileRule& rule : checked.file.rules) {
    const auto [home, is_new] = homes.emplace(rule.definition.name, name);
    if (!is_new && home->second != name) {
      checked.errors.push_back(
          {rule.offset,
           fmt::format(
               "rule '{}' is in '{}' and in '{}'", rule.definition.name, home->second, name
           )}
      );
    }
  }
}

// The other rule files of the folder that these are to join.
std::vector<std::filesystem::path> others_in(
    const std::filesystem::path& folder, std::span<const std::filesystem::path> without
) {
  std::vector<std::filesystem::path> others;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::filesystem::path& path = entry.path();
    const bool is_replaced = std::ranges::any_of(without, [&](const std::filesystem::path& other) {
      return other.filename() == path.filename();
    });
    if (path.extension() == ".sql" && !is_replaced) {
      others.push_back(path);
    }
  }
  return others;
}

RuleHomes homes_in(std::span<const std::filesystem::path> paths) {
  RuleHomes homes;
  for (const std::filesystem::path& path : paths) {
    const Result<std::string> text = read_text(path);
    if (!text) {
      continue;
    }
    for (const FileRule& rule : parse_rule_file(*text).file.rules) {
      homes.emplace(rule.definition.name, path.filename().string());
    }
  }
  return homes;
}

// Those of all the files, beside those of the environment. What is wrong with them is said when their file is checked.
Targets targets_of(
    std::span<const std::filesystem::path> paths, const SinkEnvironment& environment
) {
  Targets all = environment.targets == nullptr ? Targets() : Targets(*environment.targets);
  for (const std::filesystem::path& path : paths) {
    const Result<std::string> text = read_text(path);
    if (!text) {
      continue;
    }
    std::vector<Target> targets;
    for (const FileTarget& target : parse_rule_file(*text).file.targets) {
      if (auto checked = check_target({target.name, target.kind, target.options, "", ""})) {
        targets.push_back(std::move(*checked));
      }
    }
    ignore_error(all.replace(path.string(), std::move(targets)), "said when the file is checked");
  }
  return all;
}

struct CheckedPath {
  std::filesystem::path path;
  CheckedFile checked;
};

// Rules of all files that publish to each other.
std::string cycles_of(std::span<const CheckedPath> checked) {
  std::vector<RuleFlow> flows;
  for (const CheckedPath& one : checked) {
    flows.insert(flows.end(), one.checked.flows.begin(), one.checked.flows.end());
  }
  std::string out;
  for (const std::vector<std::size_t>& cycle : find_cycles(flows)) {
    out += "note: ";
    for (const std::size_t i : cycle) {
      out += flows[i].name + " -> ";
    }
    out += flows[cycle.front()].name +
           ": a message may go round between these rules until its ninth republish, which fails\n";
  }
  return out;
}

CheckReport check_all(
    std::span<const std::filesystem::path> paths,
    SinkEnvironment environment,
    RuleHomes homes,
    std::vector<CheckedPath>& out
) {
  CheckReport report;
  const Targets targets = targets_of(paths, environment);
  environment.targets = &targets;
  for (const std::filesystem::path& path : paths) {
    Result<std::string> text = read_text(path);
    if (!text) {
      report.ok = false;
      report.text += text.error().message() + "\n";
      continue;
    }
    CheckedFile checked = check_text(std::move(*text), environment, path.string());
    add_duplicates(checked, path.string(), homes);
    if (!checked.errors.empty()) {
      report.ok = false;
      report.text += checked.report(path.string());
    } else {
      report.text += fmt::format(
          "{}: {}{}, {} passed\n",
          path.string(),
          plural(checked.file.rules.size(), "rule"),
          checked.targets.empty() ? "" : ", " + plural(checked.targets.size(), "target"),
          plural(checked.file.tests.size(), "test")
      );
      for (const SourceError& note : checked.notes) {
        report.text += sql::render(note, checked.text, path.string()) + "\n";
      }
    }
    out.push_back({path, std::move(checked)});
  }
  report.text += cycles_of(out);
  return report;
}

std::string show_rule(
    const FileRule& file_rule, const TestMessage& message, const SinkEnvironment& environment
) {
  auto rule = compile_rule(file_rule.definition, environment);
  const std::string& name = file_rule.definition.name;
  if (!rule) {
    return name + ": " + rule.error().message + "\n";
  }
  sql::NoExternalFunctions external;
  const TriedRule tried = try_rule(**rule, message, external);
  switch (tried.outcome) {
    case TriedRule::Outcome::kOtherTopic:
      return fmt::format(
          "{}: '{}' does not match the topic\n",
          name,
          (*rule)->program.topic_filter().value_or("no filter")
      );
    case TriedRule::Outcome::kNotFired:
      return name + ": does not fire, WHERE is not true\n";
    case TriedRule::Outcome::kFailed:
      return fmt::format("{}: fails: {}\n", name, tried.error);
    case TriedRule::Outcome::kFired:
      break;
  }
  std::string out = fmt::format(
      "{}: {}\n", name, tried.is_json ? tried.output : plural(tried.output.size(), "byte")
  );
  for (const TriedRule::Action& action : tried.actions) {
    out += fmt::format(
        "  would run {} {}\n",
        action.kind,
        action.error.empty() ? action.resource : "fails: " + action.error
    );
  }
  return out;
}

CheckReport show_tests(const CheckedFile& checked, std::string_view name) {
  CheckReport report;
  sql::NoExternalFunctions external;
  for (const TestOutcome& outcome : run_tests(checked.file, external)) {
    const sql::LineColumn at = sql::locate(checked.text, outcome.test->offset);
    report.text += fmt::format(
        "{} {} ({}:{}){}{}\n",
        outcome.passed ? "ok    " : "FAILED",
        outcome.test->rule,
        name,
        at.line,
        outcome.passed ? "" : ": ",
        outcome.message
    );
    report.ok = report.ok && outcome.passed;
  }
  if (checked.file.tests.empty()) {
    report.text += fmt::format("{} has no tests\n", name);
  }
  return report;
}

}  // namespace

std::string CheckedFile::report(std::string_view name) const {
  std::string out;
  for (const SourceError& error : errors) {
    out += sql::render(error, text, name) + "\n";
  }
  return out;
}

namespace {

RuleFlow flow_of(const Rule& rule) {
  RuleFlow flow{rule.definition.name, rule.program.topic_filter(), {}};
  for (std::size_t i = 0; i < rule.actions.size(); ++i) {
    if (!rule.actions[i].action->is_publish()) {
      continue;  // also a republish that a target takes to another broker
    }
    const json::object& action = rule.definition.actions[i].get_object();
    const json::value* topic = find_member(action_members(action), "topic");
    if (topic != nullptr && topic->is_string()) {
      flow.topics.emplace_back(topic->get_string());
    }
  }
  return flow;
}

// Its targets, also into `known`.
void check_targets(CheckedFile& checked, Targets& known, const std::string& origin) {
  for (const FileTarget& target : checked.file.targets) {
    auto right = check_target({target.name, target.kind, target.options, "", origin});
    if (right) {
      checked.targets.push_back(std::move(*right));
    } else {
      const DefinitionError& error = right.error();
      checked.errors.push_back({target.position_of(error.pointer), error.message});
    }
  }
  if (const Status added = known.replace(origin, checked.targets); !added) {
    const auto in_the_way =
        std::ranges::find_if(checked.file.targets, [&](const FileTarget& target) {
          const TargetRef other = known.find(target.name);
          return other != nullptr && other->origin != origin;
        });
    checked.errors.push_back(
        {in_the_way == checked.file.targets.end() ? 0 : in_the_way->offset, added.error().message()}
    );
  }
}

}  // namespace

CheckedFile check_text(std::string text, const SinkEnvironment& outer, const std::string& origin) {
  CheckedFile checked;
  checked.text = std::move(text);
  ParsedRuleFile parsed = parse_rule_file(checked.text);
  checked.file = std::move(parsed.file);
  checked.errors = std::move(parsed.errors);
  Targets targets = outer.targets == nullptr ? Targets() : Targets(*outer.targets);
  SinkEnvironment environment = outer;
  environment.targets = &targets;
  check_targets(checked, targets, origin);
  std::set<std::string_view> names;
  for (const FileRule& rule : checked.file.rules) {
    if (!names.insert(rule.definition.name).second) {
      checked.errors.push_back(
          {rule.offset, fmt::format("rule '{}' is in this file twice", rule.definition.name)}
      );
    }
    if (const auto error = check_roles(rule.definition, environment.roles)) {
      checked.errors.push_back({rule.position_of(error->pointer), error->message});
      continue;
    }
    auto compiled = compile_rule(rule.definition, environment);
    if (!compiled) {
      const std::uint32_t at = rule.position_of(compiled.error().pointer);
      checked.errors.push_back({at, compiled.error().message});
      continue;
    }
    checked.flows.push_back(flow_of(**compiled));
    for (const SourceError& note : (*compiled)->program.notes()) {
      checked.notes.push_back({rule.position_in_sql(note.offset), "note: " + note.message});
    }
  }
  if (checked.errors.empty()) {
    sql::NoExternalFunctions external;
    for (const TestOutcome& outcome : run_tests(checked.file, external)) {
      if (!outcome.passed) {
        checked.errors.push_back({outcome.test->offset, outcome.message});
      }
    }
  }
  std::ranges::stable_sort(checked.errors, {}, &SourceError::offset);
  return checked;
}

CheckReport check_files(
    std::span<const std::filesystem::path> paths, const SinkEnvironment& environment
) {
  std::vector<CheckedPath> checked;
  return check_all(paths, environment, {}, checked);
}

CheckReport test_file(
    const std::filesystem::path& path,
    const std::optional<TestMessage>& message,
    const SinkEnvironment& outer
) {
  Result<std::string> text = read_text(path);
  if (!text) {
    return {text.error().message() + "\n", false};
  }
  CheckedFile checked = check_text(std::move(*text), outer, path.string());
  Targets targets = outer.targets == nullptr ? Targets() : Targets(*outer.targets);
  ignore_error(targets.replace(path.string(), checked.targets), "among the errors of the file");
  SinkEnvironment environment = outer;
  environment.targets = &targets;
  const bool only_tests_fail =
      std::ranges::all_of(checked.errors, [&checked](const SourceError& error) {
        return std::ranges::any_of(checked.file.tests, [&error](const FileTest& test) {
          return test.offset == error.offset;
        });
      });
  if (!only_tests_fail) {
    return {checked.report(path.string()), false};
  }
  if (!message) {
    return show_tests(checked, path.string());
  }
  CheckReport report;
  for (const FileRule& rule : checked.file.rules) {
    report.text += show_rule(rule, *message, environment);
  }
  return report;
}

CheckReport apply_files(
    std::span<const std::filesystem::path> paths,
    const std::filesystem::path& folder,
    SinkEnvironment environment
) {
  std::vector<CheckedPath> checked;
  const std::vector<std::filesystem::path> others = others_in(folder, paths);
  const Targets targets = targets_of(others, environment);
  environment.targets = &targets;
  CheckReport report = check_all(paths, environment, homes_in(others), checked);
  for (const CheckedPath& one : checked) {
    if (one.path.extension() != ".sql") {
      report.ok = false;
      report.text += fmt::format("{}: a rule file's name ends in .sql\n", one.path.string());
    }
  }
  if (!report.ok) {
    report.text += "Nothing was applied.\n";
    return report;
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  for (const CheckedPath& one : checked) {
    const std::filesystem::path to = folder / one.path.filename();
    const Status written = write_file(to, one.checked.text, FileMode::kPublic);
    report.ok = report.ok && written;
    report.text += written ? fmt::format("applied {}\n", to.string())
                           : fmt::format("{}\n", written.error().message());
  }
  return report;
}

}  // namespace iotcore::rules
