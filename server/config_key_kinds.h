#pragma once

#include "server/config.h"

#include <chrono>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The kinds of configuration keys: how each is read, checked and printed.
namespace iotcore::server {

Error bad_value(std::string_view expected);

// "64k", "16m", "4g" where sizes are meant; plain digits always.
Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t min, std::uint64_t max);

std::string toml_text(std::string_view text);

template <typename Number>
ConfigKey number_key(
    std::string name,
    std::string help,
    std::function<Number&(Config&)> at,
    std::uint64_t min,
    std::uint64_t max = std::numeric_limits<Number>::max()
) {
  return {
      std::move(name),
      std::move(help),
      [at, min, max](Config& config, std::string_view text) -> Status {
        IOTCORE_ASSIGN(const std::uint64_t value, parse_number(text, min, max));
        at(config) = static_cast<Number>(value);
        return {};
      },
      [at](const Config& config) { return std::to_string(at(const_cast<Config&>(config))); }};
}

ConfigKey text_key(
    std::string name,
    std::string help,
    std::function<std::string&(Config&)> at,
    std::function<bool(std::string_view)> valid,
    std::string expected
);

ConfigKey path_key(
    std::string name, std::string help, std::function<std::filesystem::path&(Config&)> at
);

ConfigKey milliseconds_key(
    std::string name,
    std::string help,
    std::function<std::chrono::milliseconds&(Config&)> at,
    std::uint32_t min,
    std::uint32_t max
);

ConfigKey flag_key(std::string name, std::string help, std::function<bool&(Config&)> at);

ConfigKey listen_key(std::string name, std::string help, std::function<ListenSetting&(Config&)> at);

ConfigKey names_key(
    std::string name, std::string help, std::function<std::vector<std::string>&(Config&)> at
);

template <typename Enum>
ConfigKey choice_key(
    std::string name,
    std::string help,
    std::vector<std::pair<std::string, Enum>> choices,
    std::function<Enum&(Config&)> at
) {
  return {
      std::move(name),
      std::move(help),
      [choices, at](Config& config, std::string_view text) -> Status {
        std::string names;
        for (const auto& [choice, value] : choices) {
          if (choice == text) {
            at(config) = value;
            return {};
          }
          names += (names.empty() ? "" : ", ") + choice;
        }
        return fail(bad_value("one of " + names));
      },
      [choices, at](const Config& config) {
        for (const auto& [choice, value] : choices) {
          if (value == at(const_cast<Config&>(config))) {
            return toml_text(choice);
          }
        }
        return toml_text("");
      }};
}

// The keys of mqtt.*.
void append_mqtt_keys(std::vector<ConfigKey>& keys);
// The keys of functions.*.
void append_function_keys(std::vector<ConfigKey>& keys);
// The keys of listeners and TLS.
void append_gateway_keys(std::vector<ConfigKey>& keys);

}  // namespace iotcore::server
