#pragma once

#include "base/json.h"
#include "shadow/document/operations.h"

#include <cstdint>
#include <random>
#include <string>

// The rules of shadows written down plainly over JSON values, and random input for them.
namespace iotcore::shadow::document::test {

inline json::value parse(std::string_view text) {
  return parse_json(text).value();
}

// An object emptied by nulls stays if it was there, and is not stored if it is new.
inline void merge_model(json::object& current, const json::object& patch);

inline bool store_model(json::value& out, const json::value& value) {
  if (!value.is_object()) {
    out = value;
    return true;
  }
  json::object copy;
  merge_model(copy, value.get_object());
  const bool emptied = copy.empty() && !value.get_object().empty();
  out = std::move(copy);
  return !emptied;
}

inline void merge_model(json::object& current, const json::object& patch) {
  for (const auto& [key, value] : patch) {
    if (value.is_null()) {
      current.erase(key);
    } else if (value.is_object() && current.contains(key)) {
      if (!current[key].is_object()) {
        current[key] = json::object();
      }
      merge_model(current[key].get_object(), value.get_object());
    } else {
      json::value stored;
      if (store_model(stored, value)) {
        current[key] = std::move(stored);
      }
    }
  }
}

inline json::object delta_model(const json::object& desired, const json::object& reported) {
  json::object delta;
  for (const auto& [key, value] : desired) {
    const json::value* found = reported.if_contains(key);
    if (found == nullptr) {
      delta[key] = value;
    } else if (value.is_object() && found->is_object()) {
      json::object inner = delta_model(value.get_object(), found->get_object());
      if (!inner.empty()) {
        delta[key] = std::move(inner);
      }
    } else if (value != *found) {
      delta[key] = value;
    }
  }
  return delta;
}

// Metadata has the shape of the state, with {"timestamp": …} for each leaf.
inline bool mirrors(const json::value& state, const json::value& metadata) {
  if (state.is_object()) {
    if (!metadata.is_object() || metadata.get_object().size() != state.get_object().size()) {
      return false;
    }
    for (const auto& [key, value] : state.get_object()) {
      const json::value* inner = metadata.get_object().if_contains(key);
      if (inner == nullptr || !mirrors(value, *inner)) {
        return false;
      }
    }
    return true;
  }
  if (state.is_array()) {
    if (!metadata.is_array() || metadata.get_array().size() != state.get_array().size()) {
      return false;
    }
    for (std::size_t i = 0; i < state.get_array().size(); ++i) {
      if (!mirrors(state.get_array()[i], metadata.get_array()[i])) {
        return false;
      }
    }
    return true;
  }
  return metadata.is_object() && metadata.get_object().size() == 1 &&
         metadata.get_object().contains("timestamp");
}

class RandomState {
 public:
  explicit RandomState(std::uint32_t seed) : random_(seed) {}

  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_()) % n; }

  json::object object(int depth, bool nulls) {
    json::object out;
    // Now and then more members than are looked at one by one.
    const std::uint32_t members = below(20) == 0 ? 40 : below(5);
    for (std::uint32_t i = 0; i < members; ++i) {
      out[key(members)] = value(depth - 1, nulls);
    }
    return out;
  }

  json::value value(int depth, bool nulls) {
    switch (below(nulls ? 8 : 7)) {
      case 0:
        return depth > 0 ? json::value(object(depth, nulls)) : json::value(json::object());
      case 1:
        return array(2);
      case 2:
        return below(2) == 0;
      case 3:
        return static_cast<std::int64_t>(below(5)) - 2;
      case 4:
        return static_cast<double>(below(5)) + 0.5;
      case 5:
      case 6:
        return json::string(text());
      default:
        return nullptr;
    }
  }

 private:
  json::array array(int depth) {
    json::array out;
    for (std::uint32_t i = below(3); i != 0; --i) {
      if (depth > 0 && below(3) == 0) {
        out.push_back(array(depth - 1));
      } else if (depth > 0 && below(3) == 0) {
        out.push_back(json::object{{key(4), below(3)}, {"o", json::object()}});
      } else {
        out.push_back(json::string(text()));
      }
    }
    return out;
  }

  std::string key(std::uint32_t among) {
    static constexpr const char* kKeys[] = {
        "a", "b\"c", "timestamp", "\xC3\xBC\n", "desired", "{x}"};
    return among > 6 ? "k" + std::to_string(below(60)) : kKeys[below(6)];
  }

  const char* text() {
    static constexpr const char* kTexts[] = {"", "on", "\\\"[{,:}]", "\xE6\xB8\xA9\x01", "off"};
    return kTexts[below(5)];
  }

  std::minstd_rand random_;
};

}  // namespace iotcore::shadow::document::test
