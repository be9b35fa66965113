#include "registry/live_devices.h"

#include "base/ids.h"
#include "base/log.h"
#include "registry/keys.h"
#include "registry/page.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace iotcore::registry {
namespace {

// Devices whose rights one task reads.
constexpr std::size_t kChunk = 256;

std::uint64_t key_of(std::string_view text) {
  // 0 means nowhere.
  return text.empty() ? 0 : std::max<std::uint64_t>(stable_hash(text), 1);
}

// The attachments of all roles: a prefix of keys::policies_of_target().
store::Key policies_of_roles() {
  return store::Key(keys::policies_of_target({}).view().front()).rest("role/");
}

// By what changes of its rows find it.
const std::string& principal_resource(const DeviceFacts& facts) {
  return facts.operator_resource.empty() ? facts.certificate_id : facts.operator_resource;
}

// Of a device without grants nobody knows: it may just be read for the first time.
bool has_policy(const LiveDevice& device, std::string_view name) {
  const auto grants = device.grants();
  if (grants == nullptr) {
    return true;
  }
  const auto policies = grants->policies.policies().policies();
  return std::any_of(policies.begin(), policies.end(), [name](const auto& policy) {
    return policy.name == name;
  });
}

bool has_group(const LiveDevice& device, std::string_view name) {
  const auto grants = device.grants();
  return grants == nullptr ||
         std::find(grants->groups.begin(), grants->groups.end(), name) != grants->groups.end();
}

bool has_thing_type(const LiveDevice& device, std::string_view type) {
  const auto grants = device.grants();
  return grants == nullptr || grants->thing_type == type;
}

}  // namespace

LiveDevice::~LiveDevice() {
  all_.by_certificate_.place(*this, 0);
  all_.by_thing_.place(*this, 0);
}

std::shared_ptr<const Grants> LiveDevice::grants() const {
  const std::lock_guard lock(mutex_);
  return grants_;
}

LiveDevices::LiveDevices(store::Store& store, GrantReader& reader, Executor& pool)
    : reader_(reader),
      pool_(pool),
      by_certificate_(&LiveDevice::by_certificate_),
      by_thing_(&LiveDevice::by_thing_) {
  const auto principal_rows = [this](const store::Change& change) { on_principal_row(change); };
  watches_.push_back(store.watch(keys::kPrincipals, keys::certificates(), pool, principal_rows));
  watches_.push_back(store.watch(keys::kPrincipals, keys::policies(), pool, principal_rows));
  watches_.push_back(store.watch(
      keys::kSystem,
      keys::users(),
      pool,
      [this](const store::Change& change) { on_user_row(change); }
  ));
  // A role is nothing but what is attached to it.
  watches_.push_back(store.watch(
      keys::kPrincipals,
      policies_of_roles(),
      pool,
      [this](const store::Change& change) { on_role_row(change); }
  ));
  watches_.push_back(store.watch(
      keys::kRegistry,
      keys::things(),
      pool,
      [this](const store::Change& change) { on_thing_row(change); }
  ));
  // A type says what goes with the messages of its things.
  watches_.push_back(store.watch(
      keys::kRegistry,
      keys::thing_types(),
      pool,
      [this](const store::Change& change) {
        Devices concerned = by_certificate_.all();
        if (change.kind != store::Change::Kind::kRangeErased) {
          std::erase_if(concerned, [type = segment_of(change.key, 0)](const auto& device) {
            return !has_thing_type(*device, type);
          });
        }
        refresh(std::move(concerned));
      }
  ));
  // Attaching a policy to a group writes the group's row.
  watches_.push_back(store.watch(
      keys::kRegistry,
      keys::thing_groups(),
      pool,
      [this](const store::Change& change) { on_group_row(change); }
  ));
}

Result<std::shared_ptr<LiveDevice>> LiveDevices::open(DeviceFacts facts) {
  std::shared_ptr<LiveDevice> device(new LiveDevice(*this, std::move(facts)));
  // Findable before it is read: a change from here on is either in what is read or raises changes_.
  by_certificate_.place(*device, key_of(principal_resource(device->facts_)));
  IOTCORE_ASSIGN(Grants grants, reader_.read(device->facts_));
  publish(*device, 0, std::make_shared<const Grants>(std::move(grants)));
  return device;
}

std::shared_ptr<LiveDevice> LiveDevices::adopt(DeviceFacts facts, Grants grants) {
  std::shared_ptr<LiveDevice> device(new LiveDevice(*this, std::move(facts)));
  publish(*device, 0, std::make_shared<const Grants>(std::move(grants)));
  return device;
}

void LiveDevices::replace(LiveDevice& device, std::optional<Grants> grants) {
  const std::uint64_t change = device.changes_.fetch_add(1, std::memory_order_acq_rel) + 1;
  publish(device, change, grants ? std::make_shared<const Grants>(*std::move(grants)) : nullptr);
}

std::optional<std::string> LiveDevices::client_of(std::string_view thing_name) {
  for (const auto& device : by_thing_.find(key_of(thing_name))) {
    const auto grants = device->grants();
    if (grants != nullptr && grants->thing_name == thing_name &&
        !device->facts_.client_id.empty()) {
      return device->facts_.client_id;
    }
  }
  return std::nullopt;
}

void LiveDevices::on_principal_row(const store::Change& change) {
  if (change.kind == store::Change::Kind::kRangeErased) {
    refresh(by_certificate_.all());
    return;
  }
  const std::string name = segment_of(change.key, 0);
  if (change.key.front() == keys::certificates().view().front()) {
    refresh(by_certificate_.find(key_of(name)));
    return;
  }
  Devices concerned = by_certificate_.all();
  std::erase_if(concerned, [&name](const auto& device) { return !has_policy(*device, name); });
  refresh(std::move(concerned));
}

void LiveDevices::on_thing_row(const store::Change& change) {
  const bool range = change.kind == store::Change::Kind::kRangeErased;
  refresh(range ? by_thing_.all() : by_thing_.find(key_of(segment_of(change.key, 0))));
}

void LiveDevices::on_group_row(const store::Change& change) {
  Devices concerned = by_certificate_.all();
  if (change.kind != store::Change::Kind::kRangeErased) {
    const std::string group = thing_group_resource(segment_of(change.key, 0));
    std::erase_if(concerned, [&group](const auto& device) { return !has_group(*device, group); });
  }
  refresh(std::move(concerned));
}

void LiveDevices::on_user_row(const store::Change& change) {
  const bool range = change.kind == store::Change::Kind::kRangeErased;
  refresh(
      range ? by_certificate_.all()
            : by_certificate_.find(key_of(user_resource(segment_of(change.key, 0))))
  );
}

void LiveDevices::on_role_row(const store::Change& change) {
  const bool range = change.kind == store::Change::Kind::kRangeErased;
  refresh(range ? by_certificate_.all() : by_certificate_.find(key_of(segment_of(change.key, 0))));
}

void LiveDevices::refresh(Devices devices) {
  for (const auto& device : devices) {
    device->changes_.fetch_add(1, std::memory_order_acq_rel);
  }
  while (devices.size() > kChunk) {
    const auto tail = devices.end() - static_cast<std::ptrdiff_t>(kChunk);
    Devices chunk(std::make_move_iterator(tail), std::make_move_iterator(devices.end()));
    devices.erase(tail, devices.end());
    pool_.post([this, chunk = std::move(chunk)] { refresh_chunk(chunk); });
  }
  refresh_chunk(devices);
}

void LiveDevices::refresh_chunk(const Devices& devices) {
  std::set<std::string> lost;
  for (const auto& device : devices) {
    if (refresh_one(*device)) {
      lost.insert(device->facts_.principal());
    }
  }
  for (const std::string& principal : lost) {
    if (revoked_) {
      revoked_(principal);
    }
  }
}

bool LiveDevices::refresh_one(LiveDevice& device) {
  const std::uint64_t read_at = device.changes_.load(std::memory_order_acquire);
  auto grants = reader_.read(device.facts_);
  if (grants) {
    return publish(device, read_at, std::make_shared<const Grants>(*std::move(grants)));
  }
  // Whatever the reason: who can't be shown to have rights has none.
  const bool lost = publish(device, read_at, nullptr);
  if (lost) {
    log(LogLevel::kInfo,
        "authorization.lost",
        {{"principal", device.facts_.principal()},
         {"client_id", device.facts_.client_id},
         {"reason", grants.error().message()}});
  }
  return lost;
}

bool LiveDevices::publish(
    LiveDevice& device, std::uint64_t read_at, std::shared_ptr<const Grants> grants
) {
  // The lock spans the index, too, so that two reads of one device take their places in it in order; nobody asks for them the other way round.
  const std::lock_guard lock(device.mutex_);
  if (read_at < device.read_at_) {
    return false;
  }
  const bool lost = device.grants_ != nullptr && grants == nullptr;
  device.read_at_ = read_at;
  device.grants_ = std::move(grants);
  const std::string_view thing = device.grants_ ? device.grants_->thing_name : std::string_view();
  by_thing_.place(device, key_of(thing));
  device.revision_.fetch_add(1, std::memory_order_release);
  return lost;
}

}  // namespace iotcore::registry
