#include "shadow/settings_table.h"

#include "proto/record/registry.pb.h"
#include "registry/keys.h"

#include <algorithm>

namespace iotcore::shadow {

template <typename Predicate>
bool SettingsTable::any(const Predicate& predicate) const {
  return predicate(options_.settings) ||
         std::any_of(
             options_.by_thing_type.begin(),
             options_.by_thing_type.end(),
             [&](const auto& each) { return predicate(each.second); }
         );
}

bool SettingsTable::any_watched() const {
  return any([](const ShadowSettings& settings) { return settings.is_watched(); });
}

bool SettingsTable::any_history() const {
  return any([](const ShadowSettings& settings) { return settings.history_versions != 0; });
}

const ShadowSettings& SettingsTable::of_type(std::string_view type) const {
  const auto found = options_.by_thing_type.find(type);
  return found == options_.by_thing_type.end() ? options_.settings : found->second;
}

Result<std::vector<const ShadowSettings*>> SettingsTable::of(std::span<const std::string> things
) const {
  std::vector<const ShadowSettings*> settings(things.size(), &options_.settings);
  if (!has_types()) {
    return settings;
  }
  std::vector<std::string> keys;
  keys.reserve(things.size());
  for (const std::string& thing : things) {
    keys.push_back(registry::keys::thing(thing).take());
  }
  IOTCORE_ASSIGN(const auto rows, store_.multi_get(registry::keys::kRegistry, keys));
  record::Thing thing;
  for (std::size_t i = 0; i < things.size(); ++i) {
    if (!rows[i]) {
      continue;
    }
    if (!thing.ParseFromString(rows[i]->value)) {
      return fail(Errc::kStoreCorrupt, "the thing " + things[i] + " is damaged");
    }
    settings[i] = &of_type(thing.type());
  }
  return settings;
}

}  // namespace iotcore::shadow
