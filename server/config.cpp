#include "server/config.h"

#include "base/files.h"
#include "server/config_shadow.h"
#include "server/config_targets.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <limits>

namespace iotcore::server {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

// A TOML tree as dotted keys and texts.
Status flatten(
    const toml::table& table,
    const std::string& prefix,
    std::vector<std::pair<std::string, std::string>>& out
) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const toml::table* inner = node.as_table()) {
      IOTCORE_TRY(flatten(*inner, name + ".", out));
    } else if (const auto text = node.value_exact<std::string>()) {
      out.emplace_back(name, *text);
    } else if (const auto number = node.value_exact<std::int64_t>()) {
      out.emplace_back(name, std::to_string(*number));
    } else if (const auto flag = node.value_exact<bool>()) {
      out.emplace_back(name, *flag ? "true" : "false");
    } else if (const toml::array* list = node.as_array()) {
      std::string joined;
      for (const auto& element : *list) {
        joined += (joined.empty() ? "" : ",") + element.value_or(std::string());
      }
      out.emplace_back(name, joined);
    } else {
      return fail(
          Errc::kInvalidRequest,
          "configuration key " + name + ": a value of that type is not used here"
      );
    }
  }
  return {};
}

Status apply_file(Config& config, const std::filesystem::path& file) {
  IOTCORE_ASSIGN(const std::string text, read_file(file));
  std::vector<std::pair<std::string, std::string>> values;
  try {
    toml::table table = toml::parse(text, file.string());
    if (const toml::node* targets = table.get("targets")) {
      if (Status read = read_targets(config, *targets); !read) {
        return fail(Errc::kInvalidRequest, file.string() + ": " + read.error().message());
      }
      table.erase("targets");
    }
    IOTCORE_TRY(flatten(table, "", values));
  } catch (const toml::parse_error& error) {
    return fail(
        Errc::kInvalidRequest,
        file.string() + ":" + std::to_string(error.source().begin.line) + ": " +
            std::string(error.description())
    );
  }
  for (const auto& [key, value] : values) {
    if (Status set = set_config(config, key, value); !set) {
      return fail(Errc::kInvalidRequest, file.string() + ": " + set.error().message());
    }
  }
  return {};
}

}  // namespace

std::string environment_name(std::string_view key) {
  std::string name = "IOTCORE_";
  for (const char c : key) {
    name.push_back(c == '.' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c));
  }
  return name;
}

Status set_config(Config& config, std::string_view key, std::string_view value) {
  if (is_thing_type_key(key)) {
    return set_thing_type_key(config, key, value);
  }
  const ConfigKey* nearest = nullptr;
  std::size_t nearest_distance = std::numeric_limits<std::size_t>::max();
  for (const ConfigKey& known : config_keys()) {
    if (known.name == key) {
      if (Status set = known.set(config, value); !set) {
        return fail(
            Errc::kInvalidRequest,
            "configuration key " + known.name + ": \"" + std::string(value) + "\" is not " +
                set.error().message()
        );
      }
      return {};
    }
    const std::size_t distance = edit_distance(known.name, key);
    if (distance < nearest_distance) {
      nearest = &known;
      nearest_distance = distance;
    }
  }
  return fail(
      Errc::kInvalidRequest,
      "unknown configuration key " + std::string(key) + "; did you mean " + nearest->name + "?"
  );
}

namespace {

// Whichever of the sources has the last word on a key has it, on top of `config`.
Status apply_sources(Config& config, const ConfigSources& sources) {
  if (sources.dev) {
    config.dev = true;
    config.listen_mqtt = {"127.0.0.1", 1883};
    config.listen_http = {"127.0.0.1", 8080};
  }
  if (!sources.file.empty()) {
    IOTCORE_TRY(apply_file(config, sources.file));
  }
  for (const ConfigKey& key : config_keys()) {
    const std::string variable = environment_name(key.name);
    const auto found = sources.environment.find(variable);
    if (found != sources.environment.end()) {
      if (Status set = set_config(config, key.name, found->second); !set) {
        return fail(Errc::kInvalidRequest, variable + ": " + set.error().message());
      }
    }
  }
  if (const auto passphrase = sources.environment.find("IOTCORE_PASSPHRASE");
      passphrase != sources.environment.end()) {
    config.security_passphrase = passphrase->second;
  }
  if (!sources.data_dir.empty()) {
    config.data_dir = sources.data_dir;
  }
  for (const std::string& override_text : sources.overrides) {
    const std::size_t equals = override_text.find('=');
    if (equals == std::string::npos) {
      return fail(Errc::kInvalidRequest, "--set " + override_text + ": write it as key=value");
    }
    IOTCORE_TRY(
        set_config(config, override_text.substr(0, equals), override_text.substr(equals + 1))
    );
  }
  return {};
}

std::string table_of(const ConfigKey& key) {
  const std::size_t dot = key.name.find('.');
  return dot == std::string::npos ? std::string() : key.name.substr(0, dot);
}

Status check_transports(const Config& config) {
  constexpr std::array<std::string_view, 5> kFaces = {"mqtt", "mqtts", "http", "https", "admin"};
  for (const std::string& face : config.proxy_faces) {
    if (std::find(kFaces.begin(), kFaces.end(), face) == kFaces.end()) {
      return fail(
          Errc::kInvalidRequest,
          "configuration key proxy_protocol.faces: \"" + face +
              "\" is not one of mqtt, mqtts, http, https, admin"
      );
    }
  }
  if (config.tls_certificate_file.empty() != config.tls_key_file.empty()) {
    return fail(
        Errc::kInvalidRequest,
        "configuration keys tls.certificate_file and tls.key_file: the one needs the other"
    );
  }
  return {};
}

}  // namespace

Result<Config> load_config(const ConfigSources& sources) {
  Config config;
  IOTCORE_TRY(apply_sources(config, sources));
  if (config.mqtt_profile == Profile::kStrict) {
    // The profile comes before every other key, wherever it stands.
    config = {};
    config.mqtt = broker::strict_options();
    config.tls_resumable_sessions = 0;  // AWS refuses session tickets
    config.websocket_life_s = 24 * 3600;
    IOTCORE_TRY(apply_sources(config, sources));
  }
  IOTCORE_TRY(resolve_thing_types(config));
  for (const ListenSetting* plain : {&config.listen_mqtt, &config.listen_http}) {
    const bool loopback =
        plain->host.starts_with("127.") || plain->host == "::1" || plain->host == "localhost";
    if (plain->is_on() && !config.dev) {
      return fail(
          Errc::kInvalidRequest,
          "listen.mqtt and listen.http let anybody do everything: they need --dev"
      );
    }
    if (plain->is_on() && !loopback) {
      return fail(
          Errc::kInvalidRequest,
          "listen.mqtt and listen.http: \"" + plain->host +
              "\" is not a loopback address such as 127.0.0.1, which the development faces need"
      );
    }
  }
  IOTCORE_TRY(check_transports(config));
  config.mqtt.region = config.aws_region;
  config.mqtt.account = config.aws_account;
  if (config.rules_dir.empty()) {
    config.rules_dir = config.data_dir / "rules.d";
  }
  return config;
}

std::string print_config(const Config& config) {
  // Keys without a dot first: in TOML they cannot follow a table. A table may stand there only once.
  std::vector<std::string> tables = {""};
  for (const ConfigKey& key : config_keys()) {
    if (const std::string table = table_of(key);
        std::find(tables.begin(), tables.end(), table) == tables.end()) {
      tables.push_back(table);
    }
  }
  std::vector<const ConfigKey*> ordered;
  for (const std::string& table : tables) {
    for (const ConfigKey& key : config_keys()) {
      if (table_of(key) == table) {
        ordered.push_back(&key);
      }
    }
  }
  std::string out;
  std::string section;
  for (const ConfigKey* key : ordered) {
    const std::size_t dot = key->name.find('.');
    const std::string table = table_of(*key);
    if (table != section) {
      out += "\n[" + table + "]\n";
      section = table;
    }
    out += "# " + key->help + "\n";
    out +=
        key->name.substr(dot == std::string::npos ? 0 : dot + 1) + " = " + key->get(config) + "\n";
  }
  return out + print_thing_types(config) + print_targets(config);
}

}  // namespace iotcore::server
