#pragma once

#include "registry/access_keys.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::server {

class DataDir;

// What a server that has just started says of itself.
struct Greeting {
  std::string_view version;
  const DataDir& data;
  std::string_view region;
  // Made by this start; the only time that its secret is shown.
  const std::optional<registry::AccessKeys::Key>& new_administrator;
  std::function<std::uint16_t(std::string_view face)> port;  // 0: the face is off
};

// Addresses, files, the first commands.
std::string to_text(const Greeting& greeting);

}  // namespace iotcore::server
