#pragma once

#include "rules/rule_cycles.h"
#include "rules/rule_file.h"
#include "rules/rule_try.h"
#include "rules/sink.h"
#include "rules/targets.h"

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// What `iotcore rule check|test|apply` does, without a server.
namespace iotcore::rules {

struct CheckedFile {
  RuleFile file;
  std::vector<Target> targets;
  std::string text;
  std::vector<SourceError> errors;  // in the order of the text
  std::vector<SourceError> notes;   // what is probably a mistake, or would not work on AWS
  std::vector<RuleFlow> flows;      // of the rules that are good

  // "file:line:col: message" with the line and a caret, for each error.
  std::string report(std::string_view name) const;
};

// Parses a file, checks its targets, compiles its rules and actions, and runs its tests. The targets that it may use are those of the environment and
// its own, which take the place of what the environment has of `origin`.
CheckedFile check_text(
    std::string text, const SinkEnvironment& environment, const std::string& origin
);

struct CheckReport {
  std::string text;
  bool ok = true;
};

// Each file by itself and all together: a rule in two files is an error that names both, and each knows the targets of all.
CheckReport check_files(
    std::span<const std::filesystem::path> paths, const SinkEnvironment& environment
);

// Evaluates the rules of a file with one message: which fire, with what result, and what their actions would get. Without a topic the
// file's own tests are run and listed.
CheckReport test_file(
    const std::filesystem::path& path,
    const std::optional<TestMessage>& message,
    const SinkEnvironment& environment
);

// Checks the files and, if all are good, copies them into the watched folder; each appears there whole.
CheckReport apply_files(
    std::span<const std::filesystem::path> paths,
    const std::filesystem::path& folder,
    SinkEnvironment environment
);

}  // namespace iotcore::rules
