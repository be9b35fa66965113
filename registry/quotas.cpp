#include "registry/quotas.h"

#include "registry/keys.h"

namespace iotcore::registry {
namespace {

constexpr std::size_t kPage = 10'000;

}  // namespace

Quota::Quota(
    store::Store& store,
    store::Table table,
    store::Key prefix,
    std::size_t max,
    std::string_view what
)
    : store_(store), table_(table), prefix_(std::move(prefix).take()), max_(max), what_(what) {}

bool Quota::is_certain(Errc code) {
  return code == Errc::kRevisionConflict || code == Errc::kAlreadyExists ||
         code == Errc::kServerBusy;
}

Result<std::size_t> Quota::count_rows() {
  std::size_t rows = 0;
  std::string from;
  while (true) {
    IOTCORE_ASSIGN(const std::vector<store::Entry> page, store_.scan(table_, prefix_, from, kPage));
    rows += page.size();
    if (page.size() < kPage) {
      return rows;
    }
    from = store::key_after(page.back().key);
  }
}

Result<std::uint64_t> Quota::count() {
  const std::lock_guard lock(mutex_);
  if (!count_) {
    IOTCORE_ASSIGN(count_, count_rows());
    ++counts_;
  }
  return counts_;
}

Result<std::uint64_t> Quota::take() {
  IOTCORE_ASSIGN(const std::uint64_t counted, count());
  const std::lock_guard lock(mutex_);
  if (!count_ || counts_ != counted) {
    return fail(Errc::kUnavailable, "Everything is being deleted; try again.");
  }
  if (*count_ >= max_) {
    return fail(
        Errc::kLimitExceeded,
        "There can be at most " + std::to_string(max_) + " " + std::string(what_)
    );
  }
  ++*count_;
  return counted;
}

void Quota::give_back(std::uint64_t counted, Errc why) {
  const std::lock_guard lock(mutex_);
  if (!is_certain(why)) {
    count_.reset();
  } else if (count_ && counts_ == counted && *count_ > 0) {
    --*count_;
  }
}

void Quota::forget() {
  const std::lock_guard lock(mutex_);
  count_.reset();
}

// Lists by age are of empty rows, which are read faster.
Quotas::Quotas(store::Store& store, const Limits& limits)
    : thing_types(
          store, keys::kRegistry, keys::thing_types(), limits.thing_types_max, "thing types"
      ),
      groups(store, keys::kRegistry, keys::thing_groups(), limits.groups_max, "thing groups"),
      dynamic_groups(
          store,
          keys::kRegistry,
          keys::dynamic_groups(),
          limits.dynamic_groups_max,
          "dynamic thing groups"
      ),
      billing_groups(
          store,
          keys::kRegistry,
          keys::billing_groups(),
          limits.billing_groups_max,
          "billing groups"
      ),
      policies(
          store, keys::kPrincipals, keys::policies_by_age(true), limits.policies_max, "policies"
      ),
      ca_certificates(
          store,
          keys::kPrincipals,
          keys::ca_certificates_by_age(true),
          limits.ca_certificates_max,
          "CA certificates"
      ),
      authorizers(
          store,
          keys::kPrincipals,
          keys::authorizers_by_age(true),
          limits.authorizers_max,
          "authorizers"
      ),
      domain_configurations(
          store,
          keys::kPrincipals,
          keys::domain_configurations(),
          limits.domain_configurations_max,
          "domain configurations"
      ),
      role_aliases(
          store,
          keys::kPrincipals,
          keys::role_aliases_by_age(true),
          limits.role_aliases_max,
          "role aliases"
      ),
      templates(
          store,
          keys::kPrincipals,
          keys::provisioning_templates(),
          limits.templates_max,
          "provisioning templates"
      ) {}

void Quotas::forget() {
  for (Quota* each :
       {&thing_types,
        &groups,
        &dynamic_groups,
        &billing_groups,
        &policies,
        &ca_certificates,
        &authorizers,
        &domain_configurations,
        &role_aliases,
        &templates}) {
    each->forget();
  }
}

}  // namespace iotcore::registry
