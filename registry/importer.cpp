#include "registry/importer.h"

#include "base/crypto.h"
#include "base/errc.h"
#include "registry/billing_groups.h"
#include "registry/certificate_rows.h"
#include "registry/group_rows.h"
#include "registry/keys.h"
#include "registry/pki/certificate.h"
#include "registry/thing_attributes.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

namespace iotcore::registry {

struct Importer::Item {
  enum class Outcome { kOpen, kImported, kUnchanged, kFailed };

  const api::ThingImport* from;
  std::optional<pki::Certificate> certificate;
  Outcome outcome = Outcome::kOpen;
  std::optional<Error> error;

  void refuse(Error why) {
    outcome = Outcome::kFailed;
    error = std::move(why);
  }
};

// What one commit does, and what several of its things refer to, looked up once.
class Importer::Round {
 public:
  // The change will be about as large as said.
  Round(Importer& owner, std::int64_t now_ms, std::size_t change_bytes)
      : owner_(owner), now_ms_(now_ms) {
    change_.batch = store::Batch(change_bytes);
  }

  // First of all: expects that the dynamic groups stay as they are.
  Status expect_dynamic_groups();
  // Reads what is there of all items that are open. Without it they are taken for new.
  Status read(std::vector<Item>& items);
  // Adds an item to the change; one that has to wait for another of the same name stays open.
  void add(Item& item);

  Change take() { return std::move(change_); }

  // Not a thing's fault: the change must not be committed.
  const Status& broken() const { return broken_; }

  // Those whose fate the commit decides.
  const std::vector<Item*>& added() const { return added_; }

  const std::vector<Item*>& refused() const { return refused_; }

 private:
  Status try_add(Item& item);
  Result<bool> is_there(const Item& item, const record::Thing& thing, const store::Row& row);
  Status set_type(record::Thing& thing, const std::string& type);
  Status set_groups(record::Thing& thing, const api::ThingImport& from);
  Status add_certificate(const Item& item);
  Status expect_policy(const std::string& name);

  Importer& owner_;
  const std::int64_t now_ms_;
  Change change_;
  Status broken_;
  std::vector<Item*> added_;
  std::vector<Item*> refused_;
  std::set<std::string, std::less<>> names_;  // things and certificates of this commit
  std::map<std::string, std::optional<store::Row>, std::less<>> things_;
  std::map<std::string, std::optional<store::Row>, std::less<>> certificates_;
  std::set<std::string, std::less<>> types_;
  std::set<std::string, std::less<>> policies_;
  std::map<std::string, record::GroupMembership, std::less<>> billing_groups_;
  std::map<std::string, NamedGroup, std::less<>> groups_;
  std::shared_ptr<const DynamicMembership::Snapshot> dynamic_groups_;  // the other owner: its maker
};

Status Importer::Round::expect_dynamic_groups() {
  IOTCORE_ASSIGN(dynamic_groups_, owner_.writer_.dynamic().current());
  dynamic_groups_->expect(change_.batch);
  return {};
}

Status Importer::Round::read(std::vector<Item>& items) {
  std::vector<std::string> names;
  std::vector<std::string> ids;
  std::vector<std::string> thing_keys;
  std::vector<std::string> certificate_keys;
  for (const Item& item : items) {
    if (item.outcome != Item::Outcome::kOpen) {
      continue;
    }
    names.push_back(item.from->thing_name());
    thing_keys.push_back(keys::thing(names.back()).take());
    if (item.certificate) {
      ids.push_back(item.certificate->id);
      certificate_keys.push_back(keys::certificate(ids.back()).take());
    }
  }
  IOTCORE_ASSIGN(auto things, owner_.store_.multi_get(keys::kRegistry, thing_keys));
  IOTCORE_ASSIGN(auto certificates, owner_.store_.multi_get(keys::kPrincipals, certificate_keys));
  for (std::size_t i = 0; i < names.size(); ++i) {
    things_[names[i]] = std::move(things[i]);
  }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    certificates_[ids[i]] = std::move(certificates[i]);
  }
  return {};
}

void Importer::Round::add(Item& item) {
  const std::string& name = item.from->thing_name();
  const std::string id = item.certificate ? item.certificate->id : std::string();
  if (names_.contains(name) || (!id.empty() && names_.contains(id))) {
    return;
  }
  if (Status done = try_add(item); !done) {
    item.refuse(done.error());
    refused_.push_back(&item);
  }
}

Result<bool> Importer::Round::is_there(
    const Item& item, const record::Thing& thing, const store::Row& row
) {
  IOTCORE_ASSIGN(const auto kept, parse_record<record::Thing>(row.value));
  bool same = kept.type() == thing.type() &&
              kept.billing_group().group() == thing.billing_group().group() &&
              to_attributes(kept.attributes()) == to_attributes(thing.attributes());
  for (const record::GroupMembership& membership : thing.groups()) {
    same = same && find_membership(kept, membership.group()) != nullptr;
  }
  if (same && item.certificate) {
    IOTCORE_ASSIGN(
        const auto link,
        owner_.store_.get(
            keys::kRegistry,
            keys::principals_of_thing(item.from->thing_name())
                .text(certificate_resource(item.certificate->id))
        )
    );
    same = link.has_value();
  }
  return same;
}

Status Importer::Round::set_type(record::Thing& thing, const std::string& type) {
  thing.set_type(type);
  if (types_.contains(type)) {
    return {};
  }
  const auto key = keys::thing_type(type);
  IOTCORE_ASSIGN(
      const auto found,
      get_record<record::ThingType>(
          owner_.store_, keys::kRegistry, key, "Thing type " + type + " does not exist"
      )
  );
  if (found.record.has_deprecated_ms()) {
    return fail(Errc::kInvalidRequest, "Thing type " + type + " is deprecated");
  }
  change_.batch.expect_revision(keys::kRegistry, key, found.revision);
  types_.insert(type);
  return {};
}

Status Importer::Round::set_groups(record::Thing& thing, const api::ThingImport& from) {
  if (from.has_billing_group_name()) {
    const std::string& name = from.billing_group_name();
    auto known = billing_groups_.find(name);
    if (known == billing_groups_.end()) {
      IOTCORE_ASSIGN(auto membership, join_billing_group(owner_.store_, change_.batch, name));
      known = billing_groups_.emplace(name, std::move(membership)).first;
    }
    *thing.mutable_billing_group() = known->second;
  }
  std::set<std::string> roots;
  for (const std::string& name : from.thing_group_names()) {
    auto known = groups_.find(name);
    if (known == groups_.end()) {
      IOTCORE_ASSIGN(NamedGroup found, get_group(owner_.store_, name));
      known = groups_.emplace(name, std::move(found)).first;
    }
    const NamedGroup& group = known->second;
    if (group.group.has_query() || !roots.insert(root_of(group)).second) {
      return fail(
          Errc::kInvalidRequest,
          "A thing can be in static groups only, and in one of a hierarchy: " + name
      );
    }
    record::GroupMembership membership;
    membership.set_group(name);
    membership.set_incarnation(incarnation_of(group.group.id()));
    add_membership(thing, std::move(membership));
  }
  return {};
}

Status Importer::Round::expect_policy(const std::string& name) {
  if (policies_.contains(name)) {
    return {};
  }
  IOTCORE_ASSIGN(
      const auto found,
      get_record<record::Policy>(
          owner_.store_, keys::kPrincipals, keys::policy(name), "Policy " + name + " does not exist"
      )
  );
  change_.batch.expect_revision(keys::kPrincipals, keys::policy(name), found.revision);
  change_.batch.put(keys::kPrincipals, keys::policy_guard(name), {});
  policies_.insert(name);
  return {};
}

Status Importer::Round::add_certificate(const Item& item) {
  const api::ThingImport& from = *item.from;
  const std::string& id = item.certificate->id;
  if (const auto row = certificates_.find(id); row != certificates_.end() && row->second) {
    return fail(Errc::kAlreadyExists, "The certificate is already registered (id: " + id + ")");
  }
  NewCertificate as;
  as.mode = record::SNI_ONLY;
  as.status = record::ACTIVE;
  if (from.has_certificate_status()) {
    IOTCORE_ASSIGN(as.status, status_from_request(from.certificate_status()));
  }
  for (const std::string& policy : from.policy_names()) {
    IOTCORE_TRY(expect_policy(policy));
  }
  store::Batch& batch = change_.batch;
  put_new_certificate(batch, id, certificate_record(*item.certificate, as, now_ms_));
  const std::string resource = certificate_resource(id);
  record::ThingPrincipal link;
  link.set_exclusive(from.thing_principal_type() == "EXCLUSIVE_THING");
  link.set_attached_ms(now_ms_);
  const std::string link_row = to_row(link);
  batch.put(keys::kRegistry, keys::principals_of_thing(from.thing_name()).text(resource), link_row);
  batch.put(keys::kRegistry, keys::things_of_principal(resource).text(from.thing_name()), link_row);
  record::PolicyAttachment attachment;
  attachment.set_attached_ms(now_ms_);
  const std::string row = to_row(attachment);
  for (const std::string& policy : from.policy_names()) {
    batch.put(keys::kPrincipals, keys::policies_of_target(resource).text(policy), row);
    batch.put(keys::kPrincipals, keys::targets_of_policy(policy).text(resource), row);
  }
  return {};
}

Status Importer::Round::try_add(Item& item) {
  const api::ThingImport& from = *item.from;
  record::Thing thing;
  thing.set_id(new_uuid());
  thing.set_version(1);
  thing.set_created_ms(now_ms_);
  for (const auto& [name, value] : with_update({}, to_attributes(from.attributes()), false)) {
    (*thing.mutable_attributes())[name] = value;
  }
  const Limits& limits = owner_.options_.limits;
  if (thing.attributes().size() >
      (from.has_thing_type_name() ? limits.attributes_typed_max : limits.attributes_untyped_max)) {
    return fail(Errc::kInvalidRequest, "The thing has more attributes than it may");
  }
  if (!item.certificate && from.policy_names_size() > 0) {
    return fail(Errc::kInvalidRequest, "policyNames are of a certificate, and there is none");
  }
  if (from.has_thing_type_name()) {
    IOTCORE_TRY(set_type(thing, from.thing_type_name()));
  }
  IOTCORE_TRY(set_groups(thing, from));
  if (const auto row = things_.find(from.thing_name()); row != things_.end() && row->second) {
    IOTCORE_ASSIGN(const bool same, is_there(item, thing, *row->second));
    if (!same) {
      return fail(
          Errc::kAlreadyExists, "Thing " + from.thing_name() + " already exists, but differs"
      );
    }
    item.outcome = Item::Outcome::kUnchanged;
    return {};
  }
  if (item.certificate) {
    IOTCORE_TRY(add_certificate(item));
    names_.insert(item.certificate->id);
  }
  change_.batch.expect_absent(keys::kRegistry, keys::thing(from.thing_name()));
  if (Status written =
          owner_.writer_.add(change_, {from.thing_name(), nullptr, &thing}, *dynamic_groups_);
      !written) {
    broken_ = std::move(written);  // half of the thing is in the change
    return {};
  }
  names_.insert(from.thing_name());
  added_.push_back(&item);
  return {};
}

Status Importer::run_round(std::vector<Item>& items, std::size_t change_bytes, bool all_new) {
  Round round(*this, to_epoch_ms(clock_.wall()), change_bytes);
  IOTCORE_TRY(round.expect_dynamic_groups());
  if (!all_new) {
    IOTCORE_TRY(round.read(items));
  }
  for (Item& item : items) {
    if (item.outcome == Item::Outcome::kOpen) {
      round.add(item);
    }
  }
  IOTCORE_TRY(round.broken());
  if (all_new && !round.refused().empty()) {
    // What is there already may be refused for another reason, or not at all.
    for (Item* item : round.refused()) {
      item->outcome = Item::Outcome::kOpen;
    }
    return fail(Errc::kRevisionConflict, "not all of the things may be new");
  }
  if (round.added().empty()) {
    return {};
  }
  IOTCORE_TRY(events_.commit(round.take()));
  for (Item* item : round.added()) {
    item->outcome = Item::Outcome::kImported;
  }
  return {};
}

Result<api::ImportThingsResponse> Importer::import(const api::ImportThingsRequest& request) {
  std::vector<Item> items;
  items.reserve(static_cast<std::size_t>(request.things_size()));
  for (const api::ThingImport& thing : request.things()) {
    Item& item = items.emplace_back();
    item.from = &thing;
    if (thing.has_certificate_pem()) {
      auto certificate = pki::parse_certificate_pem(thing.certificate_pem());
      if (!certificate) {
        item.refuse(certificate.error());
      } else if (!certificate->strong_key) {
        item.refuse(Error(Errc::kCertificateValidation, "The certificate's key is too weak"));
      } else {
        item.certificate = *std::move(certificate);
      }
    }
  }
  const auto open = [&items] {
    return std::any_of(items.begin(), items.end(), [](const Item& item) {
      return item.outcome == Item::Outcome::kOpen;
    });
  };
  // A thing's rows, with all by which it is found. Things of a fleet are much the same.
  constexpr std::size_t kChangeOfRequest = 3;
  const std::size_t thing_bytes = items.empty() ? 0 : request.things(0).ByteSizeLong();
  const std::size_t change_bytes = items.size() * thing_bytes * kChangeOfRequest;
  bool all_new = true;
  while (open()) {
    IOTCORE_TRY(until_no_conflict([&] {
      return run_round(items, change_bytes, std::exchange(all_new, false));
    }));
  }
  api::ImportThingsResponse response;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const Item& item = items[i];
    if (item.outcome == Item::Outcome::kFailed) {
      api::ImportFailure& failure = *response.add_failures();
      failure.set_index(static_cast<std::int32_t>(i));
      failure.set_thing_name(item.from->thing_name());
      failure.set_code(std::string(errc_info(item.error->code()).exception) + "Exception");
      failure.set_message(item.error->message());
    } else if (item.outcome == Item::Outcome::kImported) {
      response.set_imported(response.imported() + 1);
    } else {
      response.set_unchanged(response.unchanged() + 1);
    }
  }
  return response;
}

}  // namespace iotcore::registry
