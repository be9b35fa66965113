#include "server/config_targets.h"

#include "server/config_key_kinds.h"

#include <fmt/format.h>

namespace iotcore::server {
namespace {

json::value to_value(const toml::node& node) {
  if (const toml::table* table = node.as_table()) {
    json::object object;
    for (const auto& [key, member] : *table) {
      object[std::string(key.str())] = to_value(member);
    }
    // { secret = "name" } is what secret('name') is in a rule file.
    const json::value* secret = object.size() == 1 ? object.if_contains("secret") : nullptr;
    return secret != nullptr && secret->is_string() ? json::object{{"$secret", *secret}} : object;
  }
  if (const toml::array* list = node.as_array()) {
    json::array array;
    for (const toml::node& element : *list) {
      array.push_back(to_value(element));
    }
    return array;
  }
  if (const auto number = node.value_exact<std::int64_t>()) {
    return *number;
  }
  if (const auto number = node.value_exact<double>()) {
    return *number;
  }
  if (const auto flag = node.value_exact<bool>()) {
    return *flag;
  }
  return json::string(node.value_or(std::string()));
}

}  // namespace

Status read_targets(Config& config, const toml::node& targets) {
  const toml::table* all = targets.as_table();
  if (all == nullptr) {
    return fail(Errc::kInvalidRequest, "targets are tables: [targets.NAME]");
  }
  for (const auto& [name, node] : *all) {
    const std::string key = "targets." + std::string(name.str());
    const toml::table* table = node.as_table();
    if (table == nullptr || !table->contains("kind") || !table->at("kind").is_string()) {
      return fail(
          Errc::kInvalidRequest, fmt::format("[{}] needs a kind, as kind = \"postgres\"", key)
      );
    }
    config.targets[std::string(name.str())] = to_value(*table).as_object();
  }
  return {};
}

std::string print_targets(const Config& config) {
  std::string out;
  for (const auto& [name, options] : config.targets) {
    out += fmt::format("\n[targets.{}]\n# Further options are not shown.\n", toml_text(name));
    for (const char* shown : {"kind", "match"}) {
      if (const json::value* value = options.if_contains(shown);
          value != nullptr && value->is_string()) {
        out += fmt::format("{} = {}\n", shown, toml_text(std::string(value->get_string())));
      }
    }
  }
  return out;
}

std::vector<rules::Target> targets_of(const Config& config) {
  std::vector<rules::Target> targets;
  for (const auto& [name, written] : config.targets) {
    rules::Target target;
    target.name = name;
    target.kind = std::string(written.at("kind").as_string());
    target.options = written;
    target.options.erase("kind");
    targets.push_back(std::move(target));
  }
  return targets;
}

}  // namespace iotcore::server
