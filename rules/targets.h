#pragma once

#include "base/json.h"
#include "base/result.h"
#include "rules/definition_error.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

class MemberReader;

// CREATE TARGET, or a table [targets.name] of the configuration: what a name in an action means. Immutable.
struct Target {
  std::string name;
  std::string kind;      // "postgres", "s3", "aws", …
  json::object options;  // as written: secret('x') is {"$secret": "x"}
  std::string match;     // which names of AWS actions go here, as "raw-*"; empty: it is only named
  std::string origin;    // the rule file; empty: the configuration

  friend bool operator==(const Target&, const Target&) = default;
};

using TargetRef =
    std::shared_ptr<const Target>;  // shared by the table and the sinks that deliver to it

// What secret('x') stands for. Any thread; may block.
class SecretSource {
 public:
  virtual ~SecretSource() = default;
  virtual Result<std::string> secret(std::string_view name) const = 0;
};

// A kind of target as the engine knows it; one row of the list in actions/all_targets.cpp.
struct TargetKind {
  std::string_view name;
  // Reads `options`, without `match`; unknown members are found by the caller. Secrets are not resolved: open_secrets() does when a sink opens.
  void (*check)(MemberReader& options);
};

// Nullptr: there is no such kind.
const TargetKind* find_target_kind(std::string_view name);
std::vector<std::string_view> target_kind_names();

// Whether everything about it is right, but for its secrets.
Checked<Target> check_target(Target target);

// All targets of the server. Any thread; what is found stays valid.
class Targets {
 public:
  explicit Targets(const SecretSource* secrets = nullptr) : secrets_(secrets) {}

  // The same targets; what is changed here is not changed there. For checking files.
  Targets(const Targets& other);
  Targets& operator=(const Targets&) = delete;

  // Makes the targets of that origin those that are given. kAlreadyExists, naming both places: a name belongs to another origin; nothing changes then.
  Status replace(const std::string& origin, std::vector<Target> targets);

  TargetRef find(std::string_view name) const;
  // Where an action of AWS's goes: the most specific match among the targets of `kind` and of others that name the kind ("s3:raw-*" there): the exact name,
  // then the longest pattern. Nullptr: the built-in target. `name` with ${…} in it is matched only by a pattern that covers what stands before.
  TargetRef bind(std::string_view kind, std::string_view name) const;

  // Whether bind() of that kind could find anything at all.
  bool binds_any(std::string_view kind) const;

  // The options with every {"$secret": "x"} replaced by its text. An error names the secret that is missing.
  Result<json::object> open_secrets(const Target& target) const;

  // Makes those anew that were opened with secrets which are others now, and names them. Blocks.
  std::set<std::string, std::less<>> renew_where_secrets_changed();

  // Grows with every change: who keeps something made from a target makes it anew then.
  std::uint64_t version() const;

  std::vector<TargetRef> list() const;
  std::vector<TargetRef> list(const std::string& origin) const;

 private:
  const SecretSource* secrets_;
  mutable std::mutex mutex_;  // and what follows
  std::map<std::string, TargetRef, std::less<>> by_name_;
  // Of options with secrets, as they were when last opened, by the target's name: a digest; empty: a secret was missing.
  mutable std::map<std::string, std::string, std::less<>> opened_;
  std::uint64_t version_ = 1;
};

}  // namespace iotcore::rules
