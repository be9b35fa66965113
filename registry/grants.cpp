#include "registry/grants.h"

#include "proto/record/registry.pb.h"
#include "registry/group_rows.h"
#include "registry/keys.h"
#include "registry/page.h"
#include "registry/policies.h"
#include "registry/rows.h"

#include <algorithm>
#include <utility>

namespace iotcore::registry {
namespace {

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

policy::Context context_of(
    const DeviceFacts& facts,
    policy::CertificateFacts certificate,
    std::optional<policy::ThingFacts> thing,
    const Clock& clock
) {
  policy::Context context;
  context.protocol = facts.protocol;
  context.principal_id = facts.certificate_id;
  context.certificate = std::move(certificate);
  context.source_ip = facts.source_ip;
  context.clock = &clock;
  if (!facts.server_name.empty()) {
    context.domain_name = facts.server_name;
  }
  if (facts.protocol != policy::Protocol::kHttps) {
    context.client_id = facts.client_id;
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

}  // namespace

Status GrantReader::check(const record::Certificate& certificate) const {
  switch (certificate.status()) {
    case record::ACTIVE:
      break;
    case record::REVOKED:
      return not_authenticated("DEVICE_CERTIFICATE_REVOKED", "the certificate is revoked");
    default:
      return not_authenticated("DEVICE_CERTIFICATE_INACTIVE", "the certificate is not active");
  }
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  if (now_ms < certificate.not_before_ms() || now_ms > certificate.not_after_ms()) {
    return not_authenticated("NOT_AUTHENTICATED", "the certificate is out of its validity");
  }
  return {};
}

Result<Grants> GrantReader::read(const DeviceFacts& facts) {
  IOTCORE_ASSIGN(
      const auto found,
      find_record<record::Certificate>(
          store_, keys::kPrincipals, keys::certificate(facts.certificate_id)
      )
  );
  if (!found) {
    return not_authenticated(
        "DEVICE_CERTIFICATE_NOT_REGISTERED", "the certificate is not registered"
    );
  }
  IOTCORE_TRY(check(found->record));
  const WallTime not_after = from_epoch_ms(found->record.not_after_ms());
  std::optional<policy::ThingFacts> thing;
  if (facts.protocol != policy::Protocol::kHttps) {
    IOTCORE_ASSIGN(thing, associated_thing(facts));
  }
  std::string thing_name = thing ? thing->name : std::string();
  std::vector<std::string> targets = {certificate_resource(facts.certificate_id)};
  std::vector<std::string> groups;
  if (thing) {
    IOTCORE_TRY(add_groups_of(thing_name, groups));
  }
  for (const std::string& group : groups) {
    targets.push_back("thinggroup/" + group);
  }
  IOTCORE_ASSIGN(const Compiled policies, policies_of(targets));
  const policy::Context context = context_of(
      facts, certificate_facts(facts.certificate_id, found->record), std::move(thing), clock_
  );
  return Grants{policies->bind(context), std::move(thing_name), not_after, std::move(groups)};
}

// The thing that has the certificate exclusively; else the one named like the client id, if the certificate is attached to it.
Result<std::optional<policy::ThingFacts>> GrantReader::associated_thing(const DeviceFacts& facts) {
  const std::string principal = certificate_resource(facts.certificate_id);
  const auto links = keys::things_of_principal(principal);
  // An exclusive attachment is the only one, so that it is the first.
  IOTCORE_ASSIGN(const std::vector<store::Entry> first, store_.scan(keys::kRegistry, links, {}, 1));
  if (first.empty()) {
    return std::nullopt;
  }
  std::string name = segment_of(first.front().key, 1);
  IOTCORE_ASSIGN(const auto link, parse_record<record::ThingPrincipal>(first.front().value));
  if (!link.exclusive() && name != facts.client_id) {
    name = facts.client_id;
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

Status GrantReader::add_groups_of(std::string_view thing, std::vector<std::string>& groups) {
  IOTCORE_ASSIGN(
      const auto found, find_record<record::Thing>(store_, keys::kRegistry, keys::thing(thing))
  );
  if (found) {
    IOTCORE_ASSIGN(groups, policy_groups_of(store_, found->record));
  }
  return {};
}

Result<GrantReader::Compiled> GrantReader::policies_of(const std::vector<std::string>& targets) {
  std::vector<std::string> names;
  std::vector<std::string> row_keys;
  for (const std::string& target : targets) {
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> attached,
        store_.scan(keys::kPrincipals, keys::policies_of_target(target), {}, 1000)
    );
    for (const store::Entry& row : attached) {
      std::string name = segment_of(row.key, 1);
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        row_keys.push_back(keys::policy(name).take());
        names.push_back(std::move(name));
      }
    }
  }
  IOTCORE_ASSIGN(const auto rows, store_.multi_get(keys::kPrincipals, row_keys));
  std::string set;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    set += names[i] + '\n' + (rows[i] ? std::to_string(number(rows[i]->revision)) : "-") + '\n';
  }
  {
    const std::lock_guard lock(mutex_);
    if (const auto kept = compiled_.find(set); kept != compiled_.end()) {
      if (Compiled compiled = kept->second.lock()) {
        return compiled;
      }
    }
  }
  IOTCORE_ASSIGN(Compiled compiled, compile(names, rows));
  const std::lock_guard lock(mutex_);
  std::erase_if(compiled_, [](const auto& entry) { return entry.second.expired(); });
  compiled_[set] = compiled;
  return compiled;
}

Result<GrantReader::Compiled> GrantReader::compile(
    const std::vector<std::string>& names, const std::vector<std::optional<store::Row>>& rows
) const {
  std::vector<policy::NamedDocument> documents;
  for (std::size_t i = 0; i < rows.size(); ++i) {
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
  return policy::CompiledPolicies::compile(std::move(documents), options_.account.arn_prefix());
}

}  // namespace iotcore::registry
