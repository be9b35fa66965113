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
//   l thing principal          record.ThingPrincipal
//   L principal thing          record.ThingPrincipal
// table principals
//   c certificate id           record.Certificate
//   d created_ms id            empty: certificates, oldest first
//   D ~created_ms id           empty: certificates, newest first
//   p policy                   record.Policy
//   o created_ms policy        empty: policies, oldest first
//   O ~created_ms policy       empty: policies, newest first
//   A policy target            record.PolicyAttachment
//   P target policy            record.PolicyAttachment
//   q policy                   empty: written with each attachment, so that deleting the policy
//   conflicts with attaching it
// table system
//   k access key id            record.AccessKey
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

// The segment of a row in certificates_by_age or policies_by_age.
inline std::uint64_t age_segment(bool oldest_first, std::int64_t created_ms) {
  const auto created = static_cast<std::uint64_t>(created_ms);
  return oldest_first ? created : ~created;
}

}  // namespace iotcore::registry::keys
