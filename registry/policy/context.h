#pragma once

#include "base/clock.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry::policy {

enum class Protocol { kMqtt, kWebSocket, kHttps };

// A key's value: one text, or a set of them.
struct Values {
  std::vector<std::string> texts;
  bool is_set = false;
};

// The thing that a connection is associated with.
struct ThingFacts {
  std::string name;
  std::optional<std::string> type;
  std::map<std::string, std::string, std::less<>> attributes;
};

// A device certificate. Names are what follows `iot:Certificate.Subject.` ("CommonName",
// "AlternativeName.DNSName").
struct CertificateFacts {
  std::string id;
  std::string serial;
  std::map<std::string, std::vector<std::string>, std::less<>> subject;
  std::map<std::string, std::vector<std::string>, std::less<>> issuer;
  std::vector<std::string> available_keys;
};

// All that policies may ask about a connection or a REST request. Absent = has no value.
struct Context {
  Protocol protocol = Protocol::kMqtt;
  std::optional<std::string> client_id;
  std::optional<ThingFacts> thing;  // only with an association
  std::optional<CertificateFacts> certificate;
  std::optional<std::string> source_ip;
  std::optional<std::string> domain_name;
  std::optional<std::string> principal_id;  // aws:userid
  // Further keys by lower-case name: "iot:connectattributes", "iot:topic", "aws:username", …
  std::map<std::string, Values, std::less<>> keys;
  // For aws:CurrentTime and aws:EpochTime, unless `keys` holds them. Outlives the context and what
  // is bound to it.
  const Clock* clock = nullptr;

  void set(std::string_view key, std::string value);
  void set(std::string_view key, std::vector<std::string> set_of_values);

  // What a condition on `key` sees.
  std::optional<Values> find(std::string_view key) const;
  // What ${name} turns into: literal text. A certificate value that must not be put in leaves the
  // text "${name}".
  std::optional<std::string> substitute(std::string_view name) const;
};

// Whether a connection is associated with a thing to which its certificate is attached.
inline bool is_associated(std::string_view client_id, std::string_view thing_name, bool exclusive) {
  return exclusive || client_id == thing_name;
}

}  // namespace iotcore::registry::policy
