#pragma once

#include "base/json.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/options.h"
#include "gateway/face_limits.h"
#include "registry/limits.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::server {

// Where a face listens; off has no host.
struct ListenSetting {
  std::string host;
  std::uint16_t port = 0;

  bool is_on() const { return !host.empty(); }
};

// Where the settings of the broker start from, before single keys.
enum class Profile : std::uint8_t { kExtended, kStrict };

// What can be set for all shadows, and for those of the things of one type.
struct ShadowSetting {
  std::size_t document_bytes_max = 8192;
  std::string delta = "always";
  std::filesystem::path desired_schema;   // empty: none
  std::filesystem::path reported_schema;  // empty: none
  std::size_t history_versions = 0;
  std::uint32_t stale_after_s = 0;
  std::uint32_t overdue_after_s = 0;
};

// The faces that devices and their operators come by.
enum class FaceKind : std::uint8_t { kMqtt, kMqtts, kHttp, kHttps };

// Everything that an operator can set. Each member has one key in config.cpp, which also documents it.
struct Config {
  std::filesystem::path data_dir = "iotcore-data";
  bool dev = false;
  ListenSetting listen_mqtt;
  ListenSetting listen_mqtts = {"0.0.0.0", 8883};
  ListenSetting listen_http;
  ListenSetting listen_https = {"0.0.0.0", 8443};
  ListenSetting listen_admin = {"127.0.0.1", 9443};
  std::vector<std::string> tls_server_names;
  std::string tls_policy = "default";
  std::filesystem::path tls_certificate_file;  // empty: the own CA's
  std::filesystem::path tls_key_file;
  bool tls_refuse_unknown_names = true;
  std::size_t tls_resumable_sessions = 20'000;
  std::vector<std::string> proxy_faces;
  std::string proxy_trusted = "127.0.0.0/8,::1";
  std::string aws_region = "us-east-1";
  std::string aws_account = "000000000000";
  std::string endpoint_host;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
  std::size_t workers = 0;  // 0: one per processor
  std::size_t blocking_threads = 8;
  std::string store_durability = "sync";
  std::size_t store_cache_bytes = 128U << 20;
  std::string registry_key_type = "rsa2048";
  registry::Limits registry_limits;
  std::filesystem::path security_key_file;        // empty: sealing.key in the data folder
  std::string security_passphrase;                // by environment only: neither a key nor printed
  std::vector<std::string> authorizer_functions;  // NAME=TARGET
  std::filesystem::path authorizer_ca_file;       // empty: the system's
  std::string audit_file = "audit.log";           // in the data folder unless absolute; "off"
  std::uint64_t audit_bytes_max = 64U << 20;
  std::filesystem::path backup_dir;  // empty: backups in the data folder
  std::uint32_t api_clock_skew_s = 300;
  std::filesystem::path secrets_dir;  // empty: none
  std::filesystem::path rules_dir;    // empty: rules.d in the data folder
  bool rules_files_win = true;
  std::vector<std::string> rules_roles;
  std::string rules_logic = "kleene";           // or "strict-undefined"
  std::string rules_int_division = "truncate";  // or "exact"
  std::size_t rules_max = 100'000;
  std::uint64_t rules_steps_max = 2'000'000;
  std::size_t rules_result_bytes_max = 128U << 10;
  bool rules_allow_absolute_paths = false;
  std::size_t rules_outbox_bytes_max = 4ULL << 30;
  unsigned rules_disk_free_min_percent = 10;
  std::string functions_user = "nobody";
  bool functions_require_isolation = false;
  std::filesystem::path functions_runtimes_dir;  // empty: where they were installed with the server
  std::size_t rules_queue_messages_max = 1'000'000;
  std::string http_allow;                       // ranges of addresses
  std::string http_confirmation = "required";   // or "off"
  std::map<std::string, json::object> targets;  // [targets.NAME], as written
  ShadowSetting shadow;
  // What is set of the things of one type, as texts by the last part of the key; load_config() makes settings of them.
  std::map<std::string, std::map<std::string, std::string>> shadow_type_texts;
  std::map<std::string, ShadowSetting> shadow_by_thing_type;
  std::size_t shadow_cache_bytes = 512U << 20;
  std::size_t shadow_waiting_requests_max = 10'000;
  std::size_t shadow_waiting_bytes_max = 64U << 20;
  std::uint32_t shadow_tombstone_life_s = 48 * 3600;
  std::size_t connections_max = 1'000'000;
  std::array<gateway::FaceLimits, 4> face_limits;  // by FaceKind
  std::uint32_t websocket_life_s = 0;              // 0: no limit
  std::size_t http_body_bytes_max = 1U << 20;
  std::uint32_t drain_ms = 5000;
  Profile mqtt_profile = Profile::kExtended;
  broker::BrokerOptions mqtt;
};

// One configuration key.
struct ConfigKey {
  std::string name;  // "listen.mqtt"
  std::string help;  // one sentence
  std::function<Status(Config&, std::string_view text)> set;
  std::function<std::string(const Config&)> get;
};

const std::vector<ConfigKey>& config_keys();

// The key's variable in the environment: IOTCORE_LISTEN_MQTT.
std::string environment_name(std::string_view key);

// Sets one key. An unknown one is an error that names the nearest; a bad value, one that names key, value and what is expected.
Status set_config(Config& config, std::string_view key, std::string_view value);

// From lowest to highest precedence: defaults, --dev's faces, the file, the environment, `overrides` (--set key=value).
struct ConfigSources {
  std::filesystem::path file;                      // empty: none
  std::map<std::string, std::string> environment;  // all of it; other variables are ignored
  std::vector<std::string> overrides;
  bool dev = false;
  std::filesystem::path data_dir;  // empty: by key, or the default
};

Result<Config> load_config(const ConfigSources& sources);

// As iotcore.toml, each key with its help.
std::string print_config(const Config& config);

}  // namespace iotcore::server
