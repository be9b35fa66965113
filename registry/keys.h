#pragma once

#include "store/keys.h"
#include "store/table.h"

#include <cstdint>
#include <string_view>

// The registry's rows. Composed by store::Key, so that each scan below is one prefix.
//
// table registry
//   t thing                    record.Thing
//   a attribute value thing    empty: things by attribute
//   y type thing               empty: things by type
//   T type                     record.ThingType
//   g group                    record.ThingGroup
//   c parent group             empty: groups by parent; the parent of roots is ""
//   h ancestor... group        empty: groups by their way from the root
//   m ancestor... group "" thing   empty: things by group. No name is empty, so that one prefix holds a
//   group's own things, and a shorter one those of all groups below it, too
//   Y group                    empty: dynamic groups
//   D                          empty: written with each change of a dynamic group's query, so that
//   changing a thing conflicts with it
//   B billing group            record.BillingGroup
//   b billing group thing      empty: things by billing group
//   G resource tag             the tag's value; a resource is what stands behind the account in its ARN
//   e number                   record.Event: not published yet
//   E                          record.EventConfigurations
//   V                          record.LoggingOptions
//   v target type, name        the log level
//   l thing principal          record.ThingPrincipal
//   L principal thing          record.ThingPrincipal
// table principals
//   c certificate id           record.Certificate
//   d created_ms id            empty: certificates, oldest first
//   D ~created_ms id           empty: certificates, newest first
//   y not_after_ms id          the standing: certificates by their end
//   b ca created_ms id         empty: certificates of a CA, oldest first
//   B ca ~created_ms id        empty: certificates of a CA, newest first
//   x offered_ms id            empty: certificates offered to other accounts, oldest first
//   X ~offered_ms id           empty: the same, newest first
//   C ca certificate id        record.CaCertificate
//   e created_ms ca            empty: CA certificates, oldest first
//   E ~created_ms ca           empty: CA certificates, newest first
//   s subject ca               empty: CA certificates by their subject (pki::Certificate::subject_hash)
//   r                          the registration code
//   z authorizer               record.Authorizer
//   h created_ms authorizer    empty: authorizers, oldest first
//   H ~created_ms authorizer   empty: authorizers, newest first
//   Z                          the name of the default authorizer
//   l role alias               record.RoleAlias
//   m created_ms alias         empty: role aliases, oldest first
//   M ~created_ms alias        empty: role aliases, newest first
//   n domain configuration     record.DomainConfiguration
//   t template                 record.ProvisioningTemplate
//   T template ca              empty: CA certificates that name the template
//   p policy                   record.Policy
//   o created_ms policy        empty: policies, oldest first
//   O ~created_ms policy       empty: policies, newest first
//   A policy target            record.PolicyAttachment
//   P target policy            record.PolicyAttachment
//   q policy                   empty: written with each attachment, so that deleting the policy
//   conflicts with attaching it
// table system
//   k access key id            record.AccessKey
//   U user                     record.User
//   s secret                   record.Secret, of server/secrets
//
// A principal and a target are what stands behind the account in their ARN ("cert/<id>",
// "thinggroup/<name>"), or a Cognito id as it is.
//
// One rule keeps all this consistent without locks: who attaches something to a thing or a
// certificate, or detaches it, writes the row of that thing or certificate again, expecting its
// revision. Its revision thus stands for everything attached to it: deleting conflicts with
// attaching, and who watches the row learns of both.

namespace iotcore::registry::keys {

using store::Key;

inline constexpr store::Table kRegistry = store::Table::kRegistry;
inline constexpr store::Table kPrincipals = store::Table::kPrincipals;
inline constexpr store::Table kSystem = store::Table::kSystem;

inline Key things() {
  return Key('t');
}

inline Key thing(std::string_view name) {
  return Key('t').text(name);
}

inline Key things_with_attribute(std::string_view attribute) {
  return Key('a').text(attribute);
}

inline Key things_with_value(std::string_view attribute, std::string_view value) {
  return things_with_attribute(attribute).text(value);
}

inline Key things_with_value_prefix(std::string_view attribute, std::string_view prefix) {
  return things_with_attribute(attribute).rest(prefix);
}

inline Key things_of_type(std::string_view type) {
  return Key('y').text(type);
}

inline Key thing_types() {
  return Key('T');
}

inline Key thing_type(std::string_view name) {
  return Key('T').text(name);
}

inline Key thing_groups() {
  return Key('g');
}

inline Key thing_group(std::string_view name) {
  return Key('g').text(name);
}

// Of the roots: "".
inline Key groups_of_parent(std::string_view parent) {
  return Key('c').text(parent);
}

// The row of the group itself, and the prefix of those below it. Ancestors: names, the root first.
template <typename Ancestors>
Key group_by_way(const Ancestors& ancestors, std::string_view name) {
  Key key('h');
  for (const auto& ancestor : ancestors) {
    key.text(ancestor);
  }
  return key.text(name);
}

// The prefix of the things in the group and in all below it.
template <typename Ancestors>
Key things_below_group(const Ancestors& ancestors, std::string_view name) {
  Key key('m');
  for (const auto& ancestor : ancestors) {
    key.text(ancestor);
  }
  return key.text(name);
}

template <typename Ancestors>
Key things_of_group(const Ancestors& ancestors, std::string_view name) {
  return things_below_group(ancestors, name).text({});
}

inline Key dynamic_groups() {
  return Key('Y');
}

inline Key dynamic_group(std::string_view name) {
  return Key('Y').text(name);
}

inline Key dynamic_groups_guard() {
  return Key('D');
}

inline Key billing_groups() {
  return Key('B');
}

inline Key billing_group(std::string_view name) {
  return Key('B').text(name);
}

inline Key things_of_billing_group(std::string_view name) {
  return Key('b').text(name);
}

inline Key tags_of(std::string_view resource) {
  return Key('G').text(resource);
}

inline Key events() {
  return Key('e');
}

inline Key event(std::uint64_t number) {
  return Key('e').u64(number);
}

inline Key event_configurations() {
  return Key('E');
}

inline Key logging_options() {
  return Key('V');
}

inline Key logging_levels() {
  return Key('v');
}

inline Key principals_of_thing(std::string_view thing) {
  return Key('l').text(thing);
}

inline Key things_of_principal(std::string_view principal) {
  return Key('L').text(principal);
}

inline Key certificates() {
  return Key('c');
}

inline Key certificate(std::string_view id) {
  return Key('c').text(id);
}

inline Key certificates_by_age(bool oldest_first) {
  return Key(oldest_first ? 'd' : 'D');
}

inline Key certificates_of_ca(std::string_view ca, bool oldest_first) {
  return Key(oldest_first ? 'b' : 'B').text(ca);
}

inline Key certificates_by_end() {
  return Key('y');
}

inline Key outgoing_certificates(bool oldest_first) {
  return Key(oldest_first ? 'x' : 'X');
}

inline Key ca_certificates() {
  return Key('C');
}

inline Key ca_certificate(std::string_view id) {
  return Key('C').text(id);
}

inline Key ca_certificates_by_age(bool oldest_first) {
  return Key(oldest_first ? 'e' : 'E');
}

inline Key ca_certificates_by_subject(std::string_view subject_hash) {
  return Key('s').text(subject_hash);
}

inline Key authorizer(std::string_view name) {
  return Key('z').text(name);
}

inline Key authorizers() {
  return Key('z');
}

inline Key authorizers_by_age(bool oldest_first) {
  return Key(oldest_first ? 'h' : 'H');
}

inline Key default_authorizer() {
  return Key('Z');
}

inline Key role_alias(std::string_view name) {
  return Key('l').text(name);
}

inline Key role_aliases_by_age(bool oldest_first) {
  return Key(oldest_first ? 'm' : 'M');
}

inline Key domain_configurations() {
  return Key('n');
}

inline Key domain_configuration(std::string_view name) {
  return Key('n').text(name);
}

inline Key provisioning_templates() {
  return Key('t');
}

inline Key provisioning_template(std::string_view name) {
  return Key('t').text(name);
}

inline Key cas_of_template(std::string_view name) {
  return Key('T').text(name);
}

inline Key registration_code() {
  return Key('r');
}

inline Key policies() {
  return Key('p');
}

inline Key policy(std::string_view name) {
  return Key('p').text(name);
}

inline Key policies_by_age(bool oldest_first) {
  return Key(oldest_first ? 'o' : 'O');
}

inline Key targets_of_policy(std::string_view policy) {
  return Key('A').text(policy);
}

inline Key policies_of_target(std::string_view target) {
  return Key('P').text(target);
}

inline Key policy_guard(std::string_view policy) {
  return Key('q').text(policy);
}

inline Key access_keys() {
  return Key('k');
}

inline Key access_key(std::string_view id) {
  return Key('k').text(id);
}

inline Key users() {
  return Key('U');
}

inline Key user(std::string_view name) {
  return Key('U').text(name);
}

// The segment of a row in a list by age.
inline std::uint64_t age_segment(bool oldest_first, std::int64_t created_ms) {
  const auto created = static_cast<std::uint64_t>(created_ms);
  return oldest_first ? created : ~created;
}

}  // namespace iotcore::registry::keys
