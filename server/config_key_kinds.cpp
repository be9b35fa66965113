#include "server/config_key_kinds.h"

#include <charconv>
#include <sstream>

namespace iotcore::server {

Error bad_value(std::string_view expected) {
  return Error(Errc::kInvalidRequest, std::string(expected));
}

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t min, std::uint64_t max) {
  std::uint64_t unit = 1;
  if (!text.empty()) {
    switch (text.back()) {
      case 'k':
        unit = 1ULL << 10;
        break;
      case 'm':
        unit = 1ULL << 20;
        break;
      case 'g':
        unit = 1ULL << 30;
        break;
      default:
        break;
    }
  }
  const std::string_view digits = unit == 1 ? text : text.substr(0, text.size() - 1);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool whole =
      error == std::errc() && end == digits.data() + digits.size() && !digits.empty();
  if (!whole || value > max / unit || value * unit < min) {
    return fail(bad_value(
        "a whole number from " + std::to_string(min) + " to " + std::to_string(max) +
        " (k, m and g multiply by 1024)"
    ));
  }
  return value * unit;
}

std::string toml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
    }
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

ConfigKey text_key(
    std::string name,
    std::string help,
    std::function<std::string&(Config&)> at,
    std::function<bool(std::string_view)> valid,
    std::string expected
) {
  return {
      std::move(name),
      std::move(help),
      [at,
       valid = std::move(valid),
       expected = std::move(expected)](Config& config, std::string_view text) -> Status {
        if (!valid(text)) {
          return fail(bad_value(expected));
        }
        at(config) = text;
        return {};
      },
      [at](const Config& config) { return toml_text(at(const_cast<Config&>(config))); }};
}

ConfigKey path_key(
    std::string name, std::string help, std::function<std::filesystem::path&(Config&)> at
) {
  return {
      std::move(name),
      std::move(help),
      [at](Config& config, std::string_view text) -> Status {
        at(config) = std::filesystem::path(text);
        return {};
      },
      [at](const Config& config) { return toml_text(at(const_cast<Config&>(config)).string()); }};
}

ConfigKey milliseconds_key(
    std::string name,
    std::string help,
    std::function<std::chrono::milliseconds&(Config&)> at,
    std::uint32_t min,
    std::uint32_t max
) {
  return {
      std::move(name),
      std::move(help),
      [at, min, max](Config& config, std::string_view text) -> Status {
        IOTCORE_ASSIGN(const std::uint64_t value, parse_number(text, min, max));
        at(config) = std::chrono::milliseconds(value);
        return {};
      },
      [at](const Config& config) {
        return std::to_string(at(const_cast<Config&>(config)).count());
      }};
}

ConfigKey flag_key(std::string name, std::string help, std::function<bool&(Config&)> at) {
  return {
      std::move(name),
      std::move(help),
      [at](Config& config, std::string_view text) -> Status {
        if (text != "true" && text != "false") {
          return fail(bad_value("true or false"));
        }
        at(config) = text == "true";
        return {};
      },
      [at](const Config& config) {
        return std::string(at(const_cast<Config&>(config)) ? "true" : "false");
      }};
}

namespace {

Result<ListenSetting> parse_listen(std::string_view text) {
  if (text == "off") {
    return ListenSetting{};
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    return fail(bad_value("host:port, [ipv6]:port, or off"));
  }
  ListenSetting result;
  result.host = text.substr(0, colon);
  if (result.host.starts_with('[') && result.host.ends_with(']')) {
    result.host = result.host.substr(1, result.host.size() - 2);
  }
  const auto port = parse_number(text.substr(colon + 1), 0, 65'535);
  if (!port || result.host.empty()) {
    return fail(bad_value("host:port with a port from 0 to 65535 (0: any free one), or off"));
  }
  result.port = static_cast<std::uint16_t>(*port);
  return result;
}

}  // namespace

ConfigKey listen_key(
    std::string name, std::string help, std::function<ListenSetting&(Config&)> at
) {
  return {
      std::move(name),
      std::move(help),
      [at](Config& config, std::string_view text) -> Status {
        IOTCORE_ASSIGN(at(config), parse_listen(text));
        return {};
      },
      [at](const Config& config) {
        const ListenSetting& setting = at(const_cast<Config&>(config));
        if (!setting.is_on()) {
          return toml_text("off");
        }
        const bool v6 = setting.host.find(':') != std::string::npos;
        return toml_text(
            (v6 ? "[" + setting.host + "]" : setting.host) + ":" + std::to_string(setting.port)
        );
      }};
}

ConfigKey names_key(
    std::string name, std::string help, std::function<std::vector<std::string>&(Config&)> at
) {
  return {
      std::move(name),
      std::move(help),
      [at](Config& config, std::string_view text) -> Status {
        std::vector<std::string> names;
        std::istringstream parts{std::string(text)};
        for (std::string part; std::getline(parts, part, ',');) {
          if (!part.empty()) {
            names.push_back(part);
          }
        }
        at(config) = std::move(names);
        return {};
      },
      [at](const Config& config) {
        std::string joined;
        for (const std::string& each : at(const_cast<Config&>(config))) {
          joined += (joined.empty() ? "" : ",") + each;
        }
        return toml_text(joined);
      }};
}

}  // namespace iotcore::server
