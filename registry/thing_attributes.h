#pragma once

#include <google/protobuf/map.h>

#include <map>
#include <string>

namespace iotcore::registry {

using Attributes = std::map<std::string, std::string, std::less<>>;

inline Attributes to_attributes(const google::protobuf::Map<std::string, std::string>& from) {
  return {from.begin(), from.end()};
}

// What UpdateThing makes of the attributes: `given` in place of them all, or over them; a value
// sent as "" takes its attribute away.
inline Attributes with_update(Attributes current, const Attributes& given, bool merge) {
  if (!merge) {
    current.clear();
  }
  for (const auto& [name, value] : given) {
    if (value.empty()) {
      current.erase(name);
    } else {
      current[name] = value;
    }
  }
  return current;
}

}  // namespace iotcore::registry
