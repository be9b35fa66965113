#pragma once

#include "registry/policy/context.h"
#include "registry/policy/decision.h"
#include "registry/policy/document.h"

#include <span>
#include <string>
#include <string_view>

namespace iotcore::registry::policy {

// A policy in force: its name and the document of its default version.
struct NamedDocument {
  std::string name;
  Document document;
};

// The rules word for word, with no thought of speed: what compile.h must agree with. `resources`:
// several for one check, of which any may allow and any may deny.
Explanation evaluate(
    std::span<const NamedDocument> policies,
    const Context& context,
    std::string_view action,
    std::span<const std::string_view> resources
);

}  // namespace iotcore::registry::policy
