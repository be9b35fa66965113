#pragma once

#include "base/result.h"
#include "shadow/document/document.h"
#include "shadow/document/request.h"
#include "shadow/document/settings.h"

#include <cstdint>
#include <optional>
#include <string>

namespace iotcore::shadow::document {

// An accepted update: the new document and what to publish, in this order.
struct Applied {
  // Empty if not wanted.
  std::string accepted = {};
  std::string documents = {};
  std::optional<std::string> delta =
      {};  // when desired and reported differ (Settings::delta_on_change: anew)
  Document document;
};

// Which bodies somebody is waiting for: to write them is most of the work of an update.
struct Wanted {
  bool accepted = true;
  bool documents = true;
  bool delta = true;
};

// `current`: nullptr if there is none; then the version continues after `tombstone_version`, the
// one that a recent delete used up (0: none). `now_s`: seconds since the epoch. kConflict,
// kTooLarge, kInvalidRequest (a schema).
Result<Applied> apply_update(
    const Document* current,
    std::uint64_t tombstone_version,
    const Request& request,
    std::int64_t now_s,
    const Settings& settings = {},
    Wanted wanted = {}
);

// The answer to a get.
std::string get(const Document& document, std::int64_t now_s, const ClientToken& client_token);

struct Deleted {
  std::string accepted;
  std::uint64_t tombstone_version;  // to be kept for 48 h
};

Deleted apply_delete(const Document& document, std::int64_t now_s, const ClientToken& client_token);

// What goes to …/rejected.
std::string error_body(const Error& error, const ClientToken& client_token);

}  // namespace iotcore::shadow::document
