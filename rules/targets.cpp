#include "rules/targets.h"

#include "base/crypto.h"
#include "rules/member_reader.h"
#include "rules/sql/source_error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

namespace iotcore::rules {
namespace {

constexpr std::string_view kSecret = "$secret";

// How well `pattern` ("raw-*", "raw") fits; nothing: not at all. An exact name beats every pattern.
std::optional<std::size_t> fit(std::string_view pattern, std::string_view name) {
  if (!pattern.ends_with('*')) {
    return pattern == name ? std::optional(std::string_view::npos) : std::nullopt;
  }
  pattern.remove_suffix(1);
  const std::string_view known = name.substr(0, name.find("${"));
  return known.starts_with(pattern) ? std::optional(pattern.size()) : std::nullopt;
}

// "kinesis:raw-*": names of another kind's actions; of kind "aws" also all of them, "kinesis".
bool names_kind(const Target& target, std::string_view kind) {
  const std::string_view match = target.match;
  const std::size_t colon = match.find(':');
  return match.substr(0, colon) == kind &&
         (colon != std::string_view::npos || target.kind == "aws");
}

std::optional<std::size_t> fit(const Target& target, std::string_view kind, std::string_view name) {
  if (target.match.empty()) {
    return std::nullopt;
  }
  std::string_view match = target.match;
  if (target.kind == kind) {
    return fit(match, name);
  }
  if (!names_kind(target, kind)) {
    return std::nullopt;
  }
  const std::size_t colon = match.find(':');
  return colon == std::string_view::npos ? 0 : fit(match.substr(colon + 1), name);
}

Status open(json::value& value, const SecretSource* secrets) {
  if (value.is_array()) {
    for (json::value& each : value.get_array()) {
      IOTCORE_TRY(open(each, secrets));
    }
    return {};
  }
  if (!value.is_object()) {
    return {};
  }
  json::object& members = value.get_object();
  const json::value* name = members.if_contains(kSecret);
  if (name == nullptr || !name->is_string()) {
    for (auto& member : members) {
      IOTCORE_TRY(open(member.value(), secrets));
    }
    return {};
  }
  if (secrets == nullptr) {
    return fail(
        Errc::kInvalidRequest,
        fmt::format("secret '{}' can't be read here", std::string_view(name->get_string()))
    );
  }
  IOTCORE_ASSIGN(const std::string text, secrets->secret(name->get_string()));
  value = json::string(text);
  return {};
}

std::string digest_of(const json::value& options) {
  return std::string(as_text(sha256(to_json(options))));
}

}  // namespace

Checked<Target> check_target(Target target) {
  const TargetKind* kind = find_target_kind(target.kind);
  if (kind == nullptr) {
    const std::vector<std::string_view> names = target_kind_names();
    const std::string_view meant = sql::nearest(target.kind, names);
    return tl::unexpected(DefinitionError{
        Errc::kInvalidRequest,
        "",
        fmt::format(
            "there is no kind of target '{}'; {}",
            target.kind,
            meant.empty() ? fmt::format("there are {}", fmt::join(names, ", "))
                          : fmt::format("did you mean {}?", meant)
        )});
  }
  MemberReader options(target.options, "", nullptr);
  target.match = options.optional_text("match").value_or(std::string());
  const std::size_t star = target.match.find('*');
  if (star != std::string::npos && star + 1 != target.match.size()) {
    options.fail_member("match", "may have one *, at its end");
  }
  kind->check(options);
  if (std::optional<DefinitionError> error = options.finish()) {
    return tl::unexpected(*std::move(error));
  }
  return target;
}

Targets::Targets(const Targets& other) : secrets_(other.secrets_) {
  const std::lock_guard lock(other.mutex_);
  by_name_ = other.by_name_;
  version_ = other.version_;
}

Status Targets::replace(const std::string& origin, std::vector<Target> targets) {
  const std::lock_guard lock(mutex_);
  for (const Target& target : targets) {
    const auto found = by_name_.find(target.name);
    if (found != by_name_.end() && found->second->origin != origin) {
      const std::string& other = found->second->origin;
      return fail(
          Errc::kAlreadyExists,
          fmt::format(
              "target {} is also in {}", target.name, other.empty() ? "the configuration" : other
          )
      );
    }
  }
  std::erase_if(by_name_, [&](const auto& entry) {
    return entry.second->origin == origin &&
           std::ranges::find(targets, entry.first, &Target::name) == targets.end();
  });
  for (Target& target : targets) {
    target.origin = origin;
    TargetRef& slot = by_name_[target.name];
    if (slot == nullptr || !(*slot == target)) {  // who holds one that stays the same can tell
      slot = std::make_shared<const Target>(std::move(target));
    }
  }
  ++version_;
  return {};
}

TargetRef Targets::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

TargetRef Targets::bind(std::string_view kind, std::string_view name) const {
  const std::lock_guard lock(mutex_);
  TargetRef best;
  std::size_t best_fit = 0;
  for (const auto& [ignored, target] : by_name_) {
    const std::optional<std::size_t> found = fit(*target, kind, name);
    if (found && (best == nullptr || *found > best_fit)) {
      best = target;
      best_fit = *found;
    }
  }
  return best;
}

bool Targets::binds_any(std::string_view kind) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(by_name_, [kind](const auto& entry) {
    const Target& target = *entry.second;
    return !target.match.empty() && (target.kind == kind || names_kind(target, kind));
  });
}

Result<json::object> Targets::open_secrets(const Target& target) const {
  json::value options(target.options);
  const Status opened = open(options, secrets_);
  if (!opened || !(options == target.options)) {
    const std::lock_guard lock(mutex_);
    opened_[target.name] = opened ? digest_of(options) : std::string();
  }
  IOTCORE_TRY(opened);
  return std::move(options.get_object());
}

std::set<std::string, std::less<>> Targets::renew_where_secrets_changed() {
  std::map<std::string, std::string, std::less<>> before;
  {
    const std::lock_guard lock(mutex_);
    before = opened_;
  }
  std::set<std::string, std::less<>> changed;
  for (const auto& [name, digest] : before) {
    const TargetRef target = find(name);
    json::value options = target == nullptr ? json::value() : json::value(target->options);
    // One that cannot be opened now goes on with the connection that it has.
    if (target == nullptr || !open(options, secrets_) || digest_of(options) == digest) {
      continue;
    }
    const std::lock_guard lock(mutex_);
    if (const auto found = by_name_.find(name);
        found != by_name_.end() && found->second == target) {
      found->second = std::make_shared<const Target>(*target);
      changed.insert(name);
      ++version_;
    }
  }
  return changed;
}

std::uint64_t Targets::version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

std::vector<TargetRef> Targets::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<TargetRef> all;
  all.reserve(by_name_.size());
  for (const auto& [name, target] : by_name_) {
    all.push_back(target);
  }
  return all;
}

std::vector<TargetRef> Targets::list(const std::string& origin) const {
  std::vector<TargetRef> all = list();
  std::erase_if(all, [&origin](const TargetRef& target) { return target->origin != origin; });
  return all;
}

}  // namespace iotcore::rules
