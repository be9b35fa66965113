#include "server/config.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <sstream>

namespace iotcore::server {
namespace {

Error bad_value(std::string_view expected) {
  return Error(Errc::kInvalidRequest, std::string(expected));
}

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t min, std::uint64_t max) {
  // "64k", "16m", "4g" where sizes are meant; plain digits always.
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

bool is_account(std::string_view text) {
  return text.size() == 12 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_region(std::string_view text) {
  return !text.empty() && text.size() <= 32 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

std::vector<ConfigKey> make_keys() {
  using C = Config;
  using S = std::string;
  std::vector<ConfigKey> k;
  k.push_back(path_key(
      "data_dir", "Folder of everything that the server keeps.", [](C & c) -> auto& {
        return c.data_dir;
      }
  ));
  k.push_back(listen_key(
      "listen.mqtt",
      "Plain MQTT, for development: anonymous clients may do everything here. On by --dev.",
      [](C & c) -> auto& { return c.listen_mqtt; }
  ));
  k.push_back(listen_key(
      "listen.mqtts", "MQTT over TLS with client certificates.", [](C & c) -> auto& {
        return c.listen_mqtts;
      }
  ));
  k.push_back(listen_key(
      "listen.http",
      "Plain HTTP and MQTT over WebSocket (/mqtt), for development. On by --dev.",
      [](C & c) -> auto& { return c.listen_http; }
  ));
  k.push_back(listen_key(
      "listen.https",
      "HTTPS API, MQTT over WebSocket and, by ALPN, MQTT over TLS.",
      [](C & c) -> auto& { return c.listen_https; }
  ));
  k.push_back(listen_key(
      "listen.admin",
      "Metrics, health and /openapi.json, plain HTTP: keep it on a loopback or private address.",
      [](C & c) -> auto& { return c.listen_admin; }
  ));
  k.push_back(names_key(
      "tls.server_names",
      "Further names and addresses for the server certificate, separated by commas; this host's "
      "names are in it anyway.",
      [](C & c) -> auto& { return c.tls_server_names; }
  ));
  k.push_back(text_key(
      "aws.region",
      "Region in ARNs and in signatures.",
      [](C& c) -> S& { return c.aws_region; },
      is_region,
      "a region name such as us-east-1"
  ));
  k.push_back(text_key(
      "aws.account",
      "Account number in ARNs.",
      [](C& c) -> S& { return c.aws_account; },
      is_account,
      "12 digits"
  ));
  k.push_back(text_key(
      "aws.endpoint_host",
      "Host that DescribeEndpoint names; empty: this host's name.",
      [](C& c) -> S& { return c.endpoint_host; },
      [](std::string_view t) { return t.size() <= 253; },
      "a host name"
  ));
  k.push_back(choice_key<LogLevel>(
      "log.level",
      "The least important lines that are logged.",
      {{"debug", LogLevel::kDebug},
       {"info", LogLevel::kInfo},
       {"warn", LogLevel::kWarn},
       {"error", LogLevel::kError}},
      [](C & c) -> auto& { return c.log_level; }
  ));
  k.push_back(choice_key<LogFormat>(
      "log.format",
      "Form of log lines.",
      {{"text", LogFormat::kText}, {"json", LogFormat::kJson}},
      [](C & c) -> auto& { return c.log_format; }
  ));
  k.push_back(number_key<std::size_t>(
      "workers",
      "Threads that serve connections; 0: one per processor.",
      [](C & c) -> auto& { return c.workers; },
      0,
      63
  ));
  k.push_back(number_key<std::size_t>(
      "blocking_threads",
      "Threads for work that blocks: API calls, disk reads, key generation.",
      [](C & c) -> auto& { return c.blocking_threads; },
      1,
      256
  ));
  k.push_back(choice_key<S>(
      "store.durability",
      "When a write counts as kept: sync (on the disk), os (given to the operating system), "
      "memory.",
      {{"sync", "sync"}, {"os", "os"}, {"memory", "memory"}},
      [](C& c) -> S& { return c.store_durability; }
  ));
  k.push_back(number_key<std::size_t>(
      "store.cache_bytes",
      "Memory for cached blocks of the store.",
      [](C & c) -> auto& { return c.store_cache_bytes; },
      1U << 20
  ));
  k.push_back(choice_key<S>(
      "registry.key_type",
      "Kind of the keys that CreateKeysAndCertificate makes.",
      {{"rsa2048", "rsa2048"}, {"p256", "p256"}},
      [](C& c) -> S& { return c.registry_key_type; }
  ));
  k.push_back(path_key(
      "rules.dir",
      "Folder of .sql rule files, watched; empty: rules.d in the data folder.",
      [](C & c) -> auto& { return c.rules_dir; }
  ));
  k.push_back(flag_key(
      "rules.allow_absolute_paths",
      "Whether file and sqlite actions may write outside of the data folder's sinks.",
      [](C & c) -> auto& { return c.rules_allow_absolute_paths; }
  ));
  k.push_back(number_key<std::size_t>(
      "rules.outbox_bytes_max",
      "Bytes that may wait for one sink before publishers are held back.",
      [](C & c) -> auto& { return c.rules_outbox_bytes_max; },
      1U << 20
  ));
  k.push_back(number_key<std::size_t>(
      "shadow.document_bytes_max",
      "Size of a shadow's desired and reported state together.",
      [](C & c) -> auto& { return c.shadow_document_bytes_max; },
      1024,
      30U << 10
  ));
  k.push_back(number_key<std::size_t>(
      "limits.connections",
      "Connections at one time.",
      [](C & c) -> auto& { return c.connections_max; },
      1
  ));
  k.push_back(number_key<std::size_t>(
      "limits.http_body_bytes",
      "Size of an HTTP request's body.",
      [](C & c) -> auto& { return c.http_body_bytes_max; },
      1024,
      256U << 20
  ));
  k.push_back(number_key<std::uint32_t>(
      "drain_ms",
      "Milliseconds that SIGTERM leaves connections and sinks to end in good order.",
      [](C & c) -> auto& { return c.drain_ms; },
      0,
      600'000
  ));
  k.push_back(number_key<std::size_t>(
      "mqtt.packet_bytes_max",
      "Size of an MQTT packet, both ways.",
      [](C & c) -> auto& { return c.mqtt.packet_bytes_max; },
      512,
      268'435'460
  ));
  k.push_back(number_key<std::size_t>(
      "mqtt.client_id_bytes_max",
      "Length of a client id.",
      [](C & c) -> auto& { return c.mqtt.client_id_bytes_max; },
      23,
      65'535
  ));
  k.push_back(number_key<std::size_t>(
      "mqtt.topic_bytes_max",
      "Length of a topic or filter.",
      [](C & c) -> auto& { return c.mqtt.topic_bytes_max; },
      16,
      65'535
  ));
  k.push_back(number_key<std::size_t>(
      "mqtt.topic_levels_max",
      "Levels of a topic or filter.",
      [](C & c) -> auto& { return c.mqtt.topic_levels_max; },
      1,
      256
  ));
  k.push_back(number_key<std::size_t>(
      "mqtt.filters_per_subscribe_max",
      "Filters in one SUBSCRIBE.",
      [](C & c) -> auto& { return c.mqtt.filters_per_subscribe_max; },
      1
  ));
  k.push_back(number_key<std::size_t>(
      "mqtt.subscriptions_per_client_max",
      "Subscriptions of one client.",
      [](C & c) -> auto& { return c.mqtt.subscriptions_per_client_max; },
      1
  ));
  k.push_back(number_key<std::uint16_t>(
      "mqtt.receive_maximum",
      "QoS 1 publishes of one client that may wait for their acknowledgement.",
      [](C & c) -> auto& { return c.mqtt.receive_maximum; },
      1
  ));
  k.push_back(number_key<std::uint16_t>(
      "mqtt.inflight_max",
      "QoS 1 messages sent to one client that it has not acknowledged.",
      [](C & c) -> auto& { return c.mqtt.inflight_max; },
      1
  ));
  k.push_back(number_key<std::size_t>(
      "mqtt.queued_messages_max",
      "Messages that wait behind a client's inflight window.",
      [](C & c) -> auto& { return c.mqtt.queued_messages_max; },
      0
  ));
  k.push_back(number_key<std::size_t>(
      "mqtt.queued_bytes_max",
      "Bytes that wait behind a client's inflight window.",
      [](C & c) -> auto& { return c.mqtt.queued_bytes_max; },
      0
  ));
  k.push_back(number_key<std::size_t>(
      "mqtt.out_buffer_bytes_max",
      "Unsent bytes to one client above which QoS 0 messages to it are dropped.",
      [](C & c) -> auto& { return c.mqtt.out_buffer_bytes_max; },
      4096
  ));
  k.push_back(number_key<std::uint16_t>(
      "mqtt.topic_alias_maximum",
      "Topic aliases that a client may use.",
      [](C & c) -> auto& { return c.mqtt.topic_alias_maximum; },
      0
  ));
  k.push_back(number_key<std::uint16_t>(
      "mqtt.keep_alive_s_max",
      "Longest keep alive; 65535: whatever the client asks for, none included.",
      [](C & c) -> auto& { return c.mqtt.keep_alive_s_max; },
      1
  ));
  k.push_back(number_key<std::size_t>(
      "mqtt.retained_messages_max",
      "Retained messages in all.",
      [](C & c) -> auto& { return c.mqtt.retained_messages_max; },
      0
  ));
  k.push_back(flag_key(
      "mqtt.hash_matches_parent",
      "Whether a/# matches a, as the standard says; AWS says no.",
      [](C & c) -> auto& { return c.mqtt.hash_matches_parent; }
  ));
  k.push_back(flag_key(
      "mqtt.disconnect_on_publish_denied",
      "Whether a publish that a policy denies ends the connection where the protocol has no way to "
      "say no.",
      [](C & c) -> auto& { return c.mqtt.disconnect_on_publish_denied; }
  ));
  return k;
}

}  // namespace

const std::vector<ConfigKey>& config_keys() {
  static const std::vector<ConfigKey> keys = make_keys();
  return keys;
}

}  // namespace iotcore::server
