#include "registry/grants.h"

#include "broker/mqtt/properties.h"
#include "proto/record/registry.pb.h"
#include "registry/builtin_policies.h"
#include "registry/group_rows.h"
#include "registry/keys.h"
#include "registry/page.h"
#include "registry/policies.h"
#include "registry/rows.h"

#include <algorithm>
#include <utility>

namespace iotcore::registry {
namespace {

constexpr std::size_t kSweepMin = 64;

tl::unexpected<Error> not_authenticated(const char* code, std::string message) {
  return fail(Error(Errc::kNotAuthorized, std::move(message)).with("code", code));
}

std::map<std::string, std::vector<std::string>, std::less<>> attributes_of(
    const google::protobuf::RepeatedPtrField<record::NameAttribute>& attributes
) {
  std::map<std::string, std::vector<std::string>, std::less<>> out;
  for (const record::NameAttribute& attribute : attributes) {
    out[attribute.name()] = {attribute.values().begin(), attribute.values().end()};
  }
  return out;
}

policy::CertificateFacts certificate_facts(
    const std::string& id, const record::Certificate& certificate
) {
  policy::CertificateFacts facts;
  facts.id = id;
  facts.serial = certificate.serial_number();
  facts.subject = attributes_of(certificate.subject());
  facts.issuer = attributes_of(certificate.issuer());
  return facts;
}

}  // namespace

policy::Context context_of(
    const DeviceFacts& facts,
    const record::Certificate* certificate,
    std::optional<policy::ThingFacts> thing,
    const Clock& clock
) {
  policy::Context context;
  context.protocol = facts.protocol;
  context.clock = &clock;
  if (!facts.certificate_id.empty()) {
    context.principal_id = facts.certificate_id;
  }
  if (!facts.authorizer_principal.empty()) {
    context.principal_id = facts.authorizer_principal;
  }
  if (!facts.operator_resource.empty()) {
    context.principal_id = facts.access_key_id;
    context.set(
        "aws:username", facts.operator_resource.substr(facts.operator_resource.find('/') + 1)
    );
  }
  if (certificate != nullptr) {
    context.certificate = certificate_facts(facts.certificate_id, *certificate);
  }
  if (!facts.source_ip.empty()) {
    context.source_ip = facts.source_ip;
  }
  if (!facts.server_name.empty()) {
    context.domain_name = facts.server_name;
  }
  if (facts.protocol != policy::Protocol::kHttps) {
    if (!facts.client_id.empty()) {
      context.client_id = facts.client_id;
    }
    context.thing = std::move(thing);
    std::vector<std::string> attributes;
    if (facts.persistent_connect) {
      attributes.emplace_back("PersistentConnect");
    }
    if (facts.has_will) {
      attributes.emplace_back("LastWill");
    }
    context.set("iot:connectattributes", std::move(attributes));
  }
  return context;
}

Status GrantReader::check_certificate(const DeviceFacts& facts) const {
  if (index_ == nullptr || facts.certificate_id.empty()) {
    return {};
  }
  const CertificateIndex::Finding found = index_->find(facts.certificate_id);
  switch (found.knowledge) {
    case CertificateIndex::Knowledge::kNotRegistered:
      return certificate_not_registered();
    case CertificateIndex::Knowledge::kRegistered:
      return check_standing(found.standing, clock_.wall());
    default:
      return {};
  }
}

Result<std::vector<std::string>> GrantReader::operator_policy_names(std::string_view resource) {
  std::vector<std::string> names;
  constexpr std::string_view kUser = "user/";
  if (resource.substr(0, kUser.size()) == kUser) {
    IOTCORE_ASSIGN(
        const auto user,
        find_record<record::User>(store_, keys::kSystem, keys::user(resource.substr(kUser.size())))
    );
    if (!user) {
      return not_authenticated("NOT_AUTHENTICATED", "the user does not exist");
    }
    if (user->record.role() == record::User::ADMINISTRATOR) {
      names.emplace_back(kAdministratorPolicy);
    } else if (user->record.role() == record::User::READ_ONLY) {
      names.emplace_back(kReadOnlyPolicy);
    }
  }
  IOTCORE_ASSIGN(std::vector<std::string> attached, policy_names({std::string(resource)}));
  names.insert(names.end(), attached.begin(), attached.end());
  return names;
}

Result<Grants> GrantReader::read_operator(const DeviceFacts& facts) {
  IOTCORE_ASSIGN(
      const std::vector<std::string> names, operator_policy_names(facts.operator_resource)
  );
  IOTCORE_ASSIGN(const Compiled policies, compiled(names));
  return Grants{
      policies->bind(context_of(facts, nullptr, std::nullopt, clock_)), {}, WallTime::max(), {}};
}

Result<Grants> GrantReader::read(const DeviceFacts& facts) {
  if (!facts.operator_resource.empty()) {
    return read_operator(facts);
  }
  IOTCORE_TRY(check_certificate(facts));
  IOTCORE_ASSIGN(
      const auto found,
      find_record<record::Certificate>(
          store_, keys::kPrincipals, keys::certificate(facts.certificate_id)
      )
  );
  if (!found) {
    return certificate_not_registered();
  }
  IOTCORE_TRY(check_standing(standing_of(found->record), clock_.wall()));
  if (found->record.mode() == record::SNI_ONLY && found->record.has_ca_certificate_id() &&
      facts.server_name.empty()) {
    return not_authenticated(
        "SNI_MISUSED", "a certificate of a CA in mode SNI_ONLY needs a host to be named (SNI)"
    );
  }
  const WallTime not_after = from_epoch_ms(found->record.not_after_ms());
  std::vector<std::string> targets = {certificate_resource(facts.certificate_id)};
  std::optional<policy::ThingFacts> thing;
  if (facts.protocol != policy::Protocol::kHttps) {
    IOTCORE_ASSIGN(thing, associated_thing(targets.front(), facts.client_id));
  }
  std::string thing_name = thing ? thing->name : std::string();
  std::string thing_type = thing ? thing->type.value_or("") : std::string();
  std::string properties;
  if (thing) {
    IOTCORE_ASSIGN(properties, message_properties(facts, *thing));
    IOTCORE_TRY(add_groups_of(thing_name, targets));
  }
  IOTCORE_ASSIGN(const std::vector<std::string> names, policy_names(targets));
  IOTCORE_ASSIGN(const Compiled policies, compiled_for(facts, names));
  const policy::Context context = context_of(facts, &found->record, std::move(thing), clock_);
  targets.erase(targets.begin());
  return Grants{
      policies->bind(context),
      std::move(thing_name),
      not_after,
      std::move(targets),
      std::move(properties),
      std::move(thing_type)};
}

Result<std::string> GrantReader::message_properties(
    const DeviceFacts& facts, const policy::ThingFacts& thing
) {
  std::string out;
  if (!thing.type) {
    return out;
  }
  IOTCORE_ASSIGN(
      const auto type,
      find_record<record::ThingType>(store_, keys::kRegistry, keys::thing_type(*thing.type))
  );
  if (!type) {
    return out;
  }
  const auto& propagating =
      type->record.properties().mqtt5_configuration().propagating_attributes();
  for (const api::PropagatingAttribute& each : propagating) {
    const auto attribute = thing.attributes.find(each.thing_attribute());
    if (attribute != thing.attributes.end()) {
      broker::mqtt::append_user_property(out, each.user_property_key(), attribute->second);
    } else if (each.connection_attribute() == "iot:ClientId") {
      broker::mqtt::append_user_property(out, each.user_property_key(), facts.client_id);
    } else if (each.connection_attribute() == "iot:Thing.ThingName") {
      broker::mqtt::append_user_property(out, each.user_property_key(), thing.name);
    }
  }
  return out;
}

Result<std::optional<policy::ThingFacts>> GrantReader::associated_thing(
    std::string_view principal, std::string_view client_id
) {
  const auto links = keys::things_of_principal(principal);
  // An exclusive attachment is the only one, so that it is the first.
  IOTCORE_ASSIGN(const std::vector<store::Entry> first, store_.scan(keys::kRegistry, links, {}, 1));
  if (first.empty()) {
    return std::nullopt;
  }
  std::string name = segment_of(first.front().key, 1);
  IOTCORE_ASSIGN(const auto link, parse_record<record::ThingPrincipal>(first.front().value));
  if (!link.exclusive() && name != client_id) {
    name = client_id;
    IOTCORE_ASSIGN(
        const auto row, store_.get(keys::kRegistry, keys::things_of_principal(principal).text(name))
    );
    if (!row) {
      return std::nullopt;
    }
  }
  IOTCORE_ASSIGN(
      const auto thing, find_record<record::Thing>(store_, keys::kRegistry, keys::thing(name))
  );
  if (!thing) {
    return std::nullopt;
  }
  policy::ThingFacts out;
  out.name = std::move(name);
  if (thing->record.has_type()) {
    out.type = thing->record.type();
  }
  out.attributes.insert(thing->record.attributes().begin(), thing->record.attributes().end());
  return out;
}

Status GrantReader::add_groups_of(std::string_view thing, std::vector<std::string>& targets) {
  IOTCORE_ASSIGN(
      const auto found, find_record<record::Thing>(store_, keys::kRegistry, keys::thing(thing))
  );
  if (!found) {
    return {};
  }
  IOTCORE_ASSIGN(const std::vector<std::string> groups, policy_groups_of(store_, found->record));
  for (const std::string& group : groups) {
    targets.push_back(thing_group_resource(group));
  }
  return {};
}

Result<std::vector<std::string>> GrantReader::policy_names(const std::vector<std::string>& targets
) {
  std::vector<std::string> names;
  for (const std::string& target : targets) {
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> attached,
        store_.scan(keys::kPrincipals, keys::policies_of_target(target), {}, 1000)
    );
    for (const store::Entry& row : attached) {
      std::string name = segment_of(row.key, 1);
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        names.push_back(std::move(name));
      }
    }
  }
  return names;
}

Result<GrantReader::Compiled> GrantReader::compiled(const std::vector<std::string>& policy_names) {
  std::vector<std::string> row_keys;
  for (const std::string& name : policy_names) {
    row_keys.push_back(keys::policy(name).take());
  }
  IOTCORE_ASSIGN(const auto rows, store_.multi_get(keys::kPrincipals, row_keys));
  std::string set;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    set +=
        policy_names[i] + '\n' + (rows[i] ? std::to_string(number(rows[i]->revision)) : "-") + '\n';
  }
  {
    const std::lock_guard lock(mutex_);
    if (const auto kept = compiled_.find(set); kept != compiled_.end()) {
      if (Compiled shared = kept->second.lock()) {
        return shared;
      }
    }
  }
  IOTCORE_ASSIGN(auto documents, documents_of(policy_names, rows));
  Compiled made =
      policy::CompiledPolicies::compile(std::move(documents), options_.account.arn_prefix());
  const std::lock_guard lock(mutex_);
  // Not each time: a fleet whose devices have policies of their own has as many entries as devices.
  if (compiled_.size() >= sweep_at_) {
    std::erase_if(compiled_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = 2 * compiled_.size() + kSweepMin;
  }
  compiled_[set] = made;
  return made;
}

Result<GrantReader::Compiled> GrantReader::compiled_for(
    const DeviceFacts& facts, const std::vector<std::string>& policy_names
) {
  if (facts.added == nullptr) {
    return compiled(policy_names);
  }
  const auto added = facts.added->get();
  if (!added) {
    return not_authenticated("NOT_AUTHENTICATED", "the authorizer has withdrawn what it allowed");
  }
  std::vector<std::string> row_keys;
  for (const std::string& name : policy_names) {
    row_keys.push_back(keys::policy(name).take());
  }
  IOTCORE_ASSIGN(const auto rows, store_.multi_get(keys::kPrincipals, row_keys));
  IOTCORE_ASSIGN(auto documents, documents_of(policy_names, rows));
  documents.insert(documents.end(), added->begin(), added->end());
  return policy::CompiledPolicies::compile(std::move(documents), options_.account.arn_prefix());
}

Result<std::vector<policy::NamedDocument>> GrantReader::documents_of(
    const std::vector<std::string>& names, const std::vector<std::optional<store::Row>>& rows
) {
  std::vector<policy::NamedDocument> documents;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (const auto builtin = builtin_policy(names[i])) {
      IOTCORE_ASSIGN(policy::Document document, policy::parse_document(*builtin));
      documents.push_back({names[i], std::move(document)});
      continue;
    }
    if (!rows[i]) {
      continue;
    }
    IOTCORE_ASSIGN(const auto record, parse_record<record::Policy>(rows[i]->value));
    const auto* version = find_default_version(record);
    if (version == nullptr) {
      return fail(Errc::kStoreCorrupt, "Policy " + names[i] + " has no default version");
    }
    // It was within the limits when it was stored; they may have been lowered since.
    const policy::Limits no_limit = {.characters_max = version->document().size()};
    IOTCORE_ASSIGN(
        policy::Document document, policy::parse_document(version->document(), no_limit)
    );
    documents.push_back({names[i], std::move(document)});
  }
  return documents;
}

}  // namespace iotcore::registry
