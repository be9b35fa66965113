#pragma once

#include "base/result.h"
#include "registry/limits.h"
#include "store/keys.h"
#include "store/store.h"

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace iotcore::registry {

// How many there are of one kind of resource, and may be. The rows are counted once, before the first is made or deleted; from then on each that is made or
// deleted is told by passing its commit through here. Any thread; blocks.
class Quota {
 public:
  // `what`: in messages, "role aliases". One row below `prefix` for each.
  Quota(
      store::Store& store,
      store::Table table,
      store::Key prefix,
      std::size_t max,
      std::string_view what
  );

  // Runs what commits a new one. kLimitExceeded: there are as many as there may be, and it was not run.
  template <typename Commit>
  Status add(Commit&& commit) {
    IOTCORE_ASSIGN(const std::uint64_t counted, take());
    Status done = std::forward<Commit>(commit)();
    if (!done) {
      give_back(counted, done.error().code());
    }
    return done;
  }

  // Runs what commits that one goes.
  template <typename Commit>
  Status remove(Commit&& commit) {
    IOTCORE_ASSIGN(const std::uint64_t counted, count());
    Status done = std::forward<Commit>(commit)();
    if (done) {
      give_back(counted, Errc::kRevisionConflict);
    } else if (!is_certain(done.error().code())) {
      forget();
    }
    return done;
  }

  // The rows are gone, or may be others: they are counted anew.
  void forget();

 private:
  // Whether a commit that failed so has certainly changed nothing.
  static bool is_certain(Errc code);

  // These say which count they belong to, as the one after forget() is another.
  Result<std::uint64_t> count();
  Result<std::uint64_t> take();
  void give_back(std::uint64_t counted, Errc why);
  Result<std::size_t> count_rows();

  store::Store& store_;
  const store::Table table_;
  const std::string prefix_;
  const std::size_t max_;
  const std::string_view what_;
  // The rows are counted under it: what is made or deleted meanwhile would be counted twice or not at all.
  std::mutex mutex_;
  std::optional<std::size_t> count_;
  std::uint64_t counts_ = 0;
};

// Of everything in the registry whose number is limited.
struct Quotas {
  Quotas(store::Store& store, const Limits& limits);

  void forget();

  Quota thing_types;
  Quota groups;
  Quota dynamic_groups;
  Quota billing_groups;
  Quota policies;
  Quota ca_certificates;
  Quota authorizers;
  Quota domain_configurations;
  Quota role_aliases;
  Quota templates;
};

}  // namespace iotcore::registry
