#pragma once

#include "registry/keys.h"

// Further rows of the table principals (keys.h has the others):
//   t template                 record.ProvisioningTemplate
//   T template ca              empty: CA certificates that name the template

namespace iotcore::registry::keys {

inline Key provisioning_templates() {
  return Key('t');
}

inline Key provisioning_template(std::string_view name) {
  return Key('t').text(name);
}

inline Key cas_of_template(std::string_view name) {
  return Key('T').text(name);
}

}  // namespace iotcore::registry::keys
