#include "registry/http_authorizer.h"

#include "registry/custom_authorizers.h"
#include "registry/device_permissions.h"

#include <utility>

namespace iotcore::registry {
namespace {

bool may_do_everything(const broker::PeerIdentity& peer) {
  using Kind = broker::PeerIdentity::Kind;
  return peer.kind == Kind::kAccessKey || (peer.kind == Kind::kAnonymous && peer.development);
}

std::string key_of(const broker::PeerIdentity& peer) {
  return peer.principal + '\n' + peer.source_ip + '\n' + peer.server_name;
}

}  // namespace

HttpAuthorizer::HttpAuthorizer(LiveDevices& devices, const Clock& clock, Metrics& metrics)
    : devices_(devices),
      clock_(clock),
      denied_(
          metrics.counter("iotcore_authorization_denied_total", "Actions that no policy allowed")
      ) {}

// Null if there is none.
HttpAuthorizer::Device HttpAuthorizer::find_recent(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) {
    return nullptr;
  }
  recent_.splice(recent_.begin(), recent_, found->second);
  return found->second->device;
}

Result<HttpAuthorizer::Device> HttpAuthorizer::find(const broker::PeerIdentity& peer) {
  const std::string key = key_of(peer);
  if (Device recent = find_recent(key); recent != nullptr) {
    return recent;
  }
  DeviceFacts facts;
  facts.certificate_id = peer.principal;
  facts.source_ip = peer.source_ip;
  facts.server_name = peer.server_name;
  facts.protocol = policy::Protocol::kHttps;
  IOTCORE_ASSIGN(Device device, devices_.open(std::move(facts)));
  std::list<Cached> dropped;  // destroyed without the lock
  const std::lock_guard lock(mutex_);
  if (by_key_.find(key) == by_key_.end()) {
    recent_.push_front({key, device});
    by_key_.emplace(recent_.front().key, recent_.begin());
    if (recent_.size() > kDevicesMax) {
      by_key_.erase(recent_.back().key);
      dropped.splice(dropped.begin(), recent_, std::prev(recent_.end()));
    }
  }
  return device;
}

Result<std::shared_ptr<const Grants>> HttpAuthorizer::grants_of(
    const broker::PeerIdentity& peer, Device& device
) {
  if (peer.kind == broker::PeerIdentity::Kind::kCustomAuthorizer) {
    const auto* const custom =
        peer.evidence == nullptr
            ? nullptr
            : dynamic_cast<const CustomPeer*>(peer.evidence->authenticated.get());
    if (custom == nullptr) {
      return fail(Errc::kForbidden, "No authorizer has let this request in");
    }
    device = custom->device;
    auto given = device->grants();
    if (given == nullptr) {
      return fail(Errc::kForbidden, "The authorizer has withdrawn what it allowed");
    }
    return given;
  }
  if (peer.kind != broker::PeerIdentity::Kind::kCertificate) {
    return fail(
        Errc::kForbidden, "Neither a signature nor a client certificate came with the request"
    );
  }
  auto found = find(peer);
  if (!found) {
    const bool unknown = found.error().code() == Errc::kNotAuthorized;
    return fail(unknown ? Errc::kForbidden : Errc::kUnavailable, found.error().message());
  }
  device = *std::move(found);
  auto grants = device->grants();
  if (grants == nullptr || clock_.wall() > grants->not_after) {
    return fail(Errc::kForbidden, "The certificate is not in force");
  }
  return grants;
}

bool HttpAuthorizer::may_log() {
  const std::int64_t second = to_epoch_s(clock_.wall());
  const std::lock_guard lock(mutex_);
  if (second != log_second_) {
    log_second_ = second;
    log_lines_ = 0;
  }
  return ++log_lines_ <= kLogLinesPerSecond;
}

Status HttpAuthorizer::authenticate(const broker::PeerIdentity& peer) {
  if (may_do_everything(peer)) {
    return {};
  }
  Device device;
  IOTCORE_TRY(grants_of(peer, device));
  return {};
}

Status HttpAuthorizer::allows(
    const broker::PeerIdentity& peer, policy::Action action, std::string_view name
) {
  if (may_do_everything(peer)) {
    return {};
  }
  Device device;
  IOTCORE_ASSIGN(const std::shared_ptr<const Grants> grants, grants_of(peer, device));
  return decide(*grants, *device, action, name);
}

std::optional<Status> HttpAuthorizer::allows_at_once(
    const broker::PeerIdentity& peer, policy::Action action, std::string_view name
) {
  if (may_do_everything(peer)) {
    return Status();
  }
  if (peer.kind != broker::PeerIdentity::Kind::kCertificate) {
    return std::nullopt;
  }
  const Device device = find_recent(key_of(peer));
  const std::shared_ptr<const Grants> grants = device == nullptr ? nullptr : device->grants();
  if (grants == nullptr || clock_.wall() > grants->not_after) {
    return std::nullopt;
  }
  return decide(*grants, *device, action, name);
}

Status HttpAuthorizer::decide(
    const Grants& grants, LiveDevice& device, policy::Action action, std::string_view name
) {
  if (grants.policies.decide(action, name).allowed()) {
    return {};
  }
  denied_.add_shared();
  if (may_log()) {
    log_refusal(device.facts(), &grants, action, name);
  }
  return fail(
      Errc::kForbidden,
      "No policy allows " + std::string(policy::action_info(action).name) + " on this resource"
  );
}

}  // namespace iotcore::registry
