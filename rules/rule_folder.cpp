#include "rules/rule_folder.h"

#include "base/files.h"
#include "base/log.h"
#include "rules/rule_check.h"
#include "rules/rule_file_values.h"

#include <algorithm>
#include <utility>

namespace iotcore::rules {

RuleFolder::RuleFolder(
    std::filesystem::path folder, RuleCatalog& catalog, SinkEnvironment environment
)
    : folder_(std::move(folder)), catalog_(catalog), environment_(std::move(environment)) {}

RuleFolder::~RuleFolder() {
  stop();
}

void RuleFolder::scan() {
  std::map<std::string, Stamp> present;
  std::vector<std::string> changed;
  bool any_gone = false;
  std::error_code error;
  std::filesystem::directory_iterator entries(folder_, error);
  if (error && error != std::errc::no_such_file_or_directory) {
    return;  // not readable now says nothing about the files in it
  }
  error.clear();
  for (; entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const std::filesystem::directory_entry& entry = *entries;
    const std::string name = entry.path().filename().string();
    std::error_code gone;
    const Stamp stamp = {entry.last_write_time(gone), entry.file_size(gone)};
    // Editors leave hidden files and half-written ones beside.
    if (entry.path().extension() != ".sql" || name.starts_with('.') || gone) {
      continue;
    }
    present.emplace(name, stamp);
  }
  if (error) {
    return;  // the rest of them
  }
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, stamp] : present) {
      const auto [file, is_new] = files_.try_emplace(name);
      if (is_new || file->second.stamp != stamp) {
        file->second.stamp = stamp;
        changed.push_back(name);
      }
    }
  }
  for (const std::string& file : catalog_.files()) {
    if (!present.contains(file)) {
      any_gone = true;
      if (const Status applied = catalog_.apply_file({file, {}, {}}); !applied) {
        log(LogLevel::kError,
            "rule_file.not_removed",
            {{"file", file}, {"error", applied.error().message()}});
      }
    }
  }
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(files_, [&](const auto& file) { return !present.contains(file.first); });
    if (any_gone || !changed.empty()) {
      // What was in the way of a refused file may have gone.
      for (const auto& [name, file] : files_) {
        if (!file.errors.empty() && std::ranges::find(changed, name) == changed.end()) {
          changed.push_back(name);
        }
      }
    }
  }
  const std::vector<std::string> owners = catalog_.files();
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, file] : files_) {
      // All rules were taken away together, behind our back.
      if (file.has_rules && std::ranges::find(owners, name) == owners.end() &&
          std::ranges::find(changed, name) == changed.end()) {
        changed.push_back(name);
      }
    }
  }
  std::ranges::sort(changed);
  apply_all(std::move(changed));
  catalog_.files_read();
}

// A file may need targets of one that comes later: what is refused is tried again as long as others are taken.
void RuleFolder::apply_all(std::vector<std::string> names) {
  while (!names.empty()) {
    const std::size_t before = names.size();
    std::erase_if(names, [this](const std::string& name) { return apply(name); });
    if (names.size() == before) {
      break;
    }
  }
  const std::lock_guard lock(mutex_);
  for (const std::string& name : names) {
    File& file = files_[name];
    if (file.errors != file.reported_errors) {
      log(LogLevel::kError, "rule_file.refused", {{"file", name}, {"errors", file.errors}});
      file.reported_errors = file.errors;
    }
  }
}

bool RuleFolder::apply(const std::string& name) {
  std::string errors;
  bool has_rules = false;
  Result<std::string> text = read_file(folder_ / name, kRuleFileBytesMax);
  if (!text) {
    errors = text.error().message();
  } else {
    CheckedFile checked = check_text(std::move(*text), environment_, name);
    errors = checked.report(name);
    if (errors.empty()) {
      FileChange change;
      change.file = name;
      for (FileRule& rule : checked.file.rules) {
        change.rules.push_back(std::move(rule.definition));
      }
      change.targets = std::move(checked.targets);
      has_rules = !change.rules.empty() || !change.targets.empty();
      if (const Status applied = catalog_.apply_file(change); !applied) {
        errors = name + ": " + applied.error().message();
      }
    }
  }
  const std::lock_guard lock(mutex_);
  File& file = files_[name];
  const bool is_applied = errors.empty();
  if (is_applied) {
    log(LogLevel::kInfo, "rule_file.applied", {{"file", name}});
    file.reported_errors.clear();
  }
  file.has_rules = has_rules && is_applied;
  file.errors = std::move(errors);
  return is_applied;
}

void RuleFolder::start(std::chrono::milliseconds interval) {
  thread_ = std::thread([this, interval] {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      lock.unlock();
      scan();
      lock.lock();
      stopped_.wait_for(lock, interval, [this] { return stopping_; });
    }
  });
}

void RuleFolder::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_one();
  if (thread_.joinable()) {
    thread_.join();
  }
}

std::vector<RuleFolder::FileState> RuleFolder::files() const {
  const std::lock_guard lock(mutex_);
  std::vector<FileState> states;
  for (const auto& [name, file] : files_) {
    states.push_back({name, file.errors});
  }
  return states;
}

}  // namespace iotcore::rules
