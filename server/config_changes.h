#pragma once

#include "server/config.h"

#include <string>
#include <vector>

namespace iotcore::server {

// What is different in a configuration that was read again.
struct ConfigChange {
  std::string key;
  std::string before;  // as `config print` prints it
  std::string now;
  bool applied;  // otherwise only a start takes it over
};

// Compares them key by key, and takes into `running` what may change while the server runs.
std::vector<ConfigChange> take_changes(Config& running, const Config& read);

}  // namespace iotcore::server
