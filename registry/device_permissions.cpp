#include "registry/device_permissions.h"

#include "base/log.h"

namespace iotcore::registry {
namespace {

class EveryPermission final : public broker::Permissions {
 public:
  bool allows(broker::Action, std::string_view, std::uint64_t) override { return true; }

  std::string_view thing_name() const override { return {}; }
};

}  // namespace

std::unique_ptr<broker::Permissions> every_permission() {
  return std::make_unique<EveryPermission>();
}

policy::Action policy_action(broker::Action action) {
  switch (action) {
    case broker::Action::kConnect:
      return policy::Action::kConnect;
    case broker::Action::kPublish:
      return policy::Action::kPublish;
    case broker::Action::kRetainPublish:
      return policy::Action::kRetainPublish;
    case broker::Action::kSubscribe:
      return policy::Action::kSubscribe;
    case broker::Action::kReceive:
      return policy::Action::kReceive;
  }
  return policy::Action::kCount_;
}

void log_refusal(
    const DeviceFacts& facts, const Grants* grants, policy::Action action, std::string_view resource
) {
  std::string_view policy_name;
  std::string_view sid;
  if (grants != nullptr) {
    const policy::Decision decision = grants->policies.decide(action, resource);
    if (decision.verdict == policy::Verdict::kExplicitDeny) {
      policy_name = grants->policies.policies().policy_name(decision);
      sid = grants->policies.policies().sid(decision);
    }
  }
  const policy::ActionInfo& info = policy::action_info(action);
  log(LogLevel::kInfo,
      "authorization.denied",
      {{"action", info.name},
       {"resource", std::string(policy::resource_prefix(info.resource)).append(resource)},
       {"principal", facts.principal()},
       {"client_id", facts.client_id},
       {"source_ip", facts.source_ip},
       {"policy", policy_name},
       {"sid", sid}});
}

DevicePermissions::DevicePermissions(std::shared_ptr<LiveDevice> device, Counter& denied)
    : device_(std::move(device)), revision_(device_->revision()), denied_(denied) {
  // In this order: what changes in between is taken again at the first decision.
  grants_ = device_->grants();
}

std::string_view DevicePermissions::thing_name() const {
  return grants_ == nullptr ? std::string_view() : std::string_view(grants_->thing_name);
}

std::string_view DevicePermissions::message_properties() const {
  return grants_ == nullptr ? std::string_view() : std::string_view(grants_->message_properties);
}

bool DevicePermissions::allows(
    broker::Action action, std::string_view resource, std::uint64_t hash
) {
  if (const std::uint64_t revision = device_->revision(); revision != revision_) {
    revision_ = revision;
    grants_ = device_->grants();
    remembered_.reset();
  }
  if (remembered_ == nullptr) {
    remembered_ = std::make_unique<std::array<Remembered, kRemembered>>();
  }
  const std::size_t slot = (hash + static_cast<std::size_t>(action)) % kRemembered;
  Remembered& last = (*remembered_)[slot];
  if (last.used && last.hash == hash && last.action == action && last.resource == resource) {
    if (!last.allowed) {
      denied_.add_shared();
    }
    return last.allowed;
  }
  const bool allowed = decide(action, resource);
  last.resource = resource;
  last.hash = hash;
  last.action = action;
  last.used = true;
  last.allowed = allowed;
  return allowed;
}

bool DevicePermissions::decide(broker::Action action, std::string_view resource) {
  const policy::Action asked = policy_action(action);
  if (grants_ != nullptr && grants_->policies.decide(asked, resource).allowed()) {
    return true;
  }
  denied_.add_shared();
  if (log_lines_left_ > 0) {
    --log_lines_left_;
    log_refusal(device_->facts(), grants_.get(), asked, resource);
  }
  return false;
}

}  // namespace iotcore::registry
