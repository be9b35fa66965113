#pragma once

#include "rules/rule_catalog.h"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace iotcore::rules {

// rules.d: a folder whose .sql files are the rules and targets that belong to them. A file that is good is applied whole; of one that is not the rules as
// they were go on. Looks once a second.
class RuleFolder {
 public:
  RuleFolder(std::filesystem::path folder, RuleCatalog& catalog, SinkEnvironment environment);
  ~RuleFolder();
  RuleFolder(const RuleFolder&) = delete;
  RuleFolder& operator=(const RuleFolder&) = delete;

  // Looks once; on start, and in tests. Blocks.
  void scan();
  // Looks from now on, on a thread of its own.
  void start(std::chrono::milliseconds interval = std::chrono::milliseconds(1000));
  void stop();

  struct FileState {
    std::string name;
    std::string errors;  // as `rule check` prints them; empty: applied
  };

  // Any thread.
  std::vector<FileState> files() const;

 private:
  struct Stamp {
    std::filesystem::file_time_type modified;
    std::uintmax_t size = 0;

    friend bool operator==(const Stamp&, const Stamp&) = default;
  };

  struct File {
    Stamp stamp;
    bool has_rules = false;
    std::string errors;
    std::string reported_errors;
  };

  void apply_all(std::vector<std::string> names);
  // False: refused.
  bool apply(const std::string& name);

  const std::filesystem::path folder_;
  RuleCatalog& catalog_;
  const SinkEnvironment environment_;
  mutable std::mutex mutex_;  // and what follows
  std::map<std::string, File, std::less<>> files_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace iotcore::rules
