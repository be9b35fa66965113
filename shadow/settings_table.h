#pragma once

#include "base/result.h"
#include "shadow/options.h"
#include "store/store.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::shadow {

// Which settings are whose: by the type of the thing, as the registry has it. Any thread.
class SettingsTable {
 public:
  // Both outlive it.
  SettingsTable(const ServiceOptions& options, store::Store& store)
      : options_(options), store_(store) {}

  // Whether things may differ at all.
  bool has_types() const { return !options_.by_thing_type.empty(); }

  bool any_watched() const;
  bool any_history() const;

  const ShadowSettings& usual() const { return options_.settings; }

  // In the order of the things. Blocks if there are types.
  Result<std::vector<const ShadowSettings*>> of(std::span<const std::string> things) const;

 private:
  const ShadowSettings& of_type(std::string_view type) const;
  template <typename Predicate>
  bool any(const Predicate& predicate) const;

  const ServiceOptions& options_;
  store::Store& store_;
};

}  // namespace iotcore::shadow
