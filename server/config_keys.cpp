#include "net/address_range.h"
#include "server/config.h"
#include "server/config_key_kinds.h"
#include "server/config_registry.h"
#include "server/config_rules.h"
#include "server/config_shadow.h"

#include <algorithm>

namespace iotcore::server {
namespace {

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
  for (ConfigKey& key : registry_limit_keys()) {
    k.push_back(std::move(key));
  }
  k.push_back(path_key(
      "security.key_file",
      "File of the key under which secrets and the CA's key are kept; empty: sealing.key in the "
      "data folder. IOTCORE_PASSPHRASE in the environment makes the key from a passphrase.",
      [](C & c) -> auto& { return c.security_key_file; }
  ));
  k.push_back(names_key(
      "authorizers.functions",
      "What stands for the functions of custom authorizers, separated by commas: NAME=https://... "
      "or NAME=/path/of/program arguments.",
      [](C & c) -> auto& { return c.authorizer_functions; }
  ));
  k.push_back(path_key(
      "authorizers.ca_file",
      "Who must have signed the certificates of those https targets; empty: whom this machine "
      "trusts.",
      [](C & c) -> auto& { return c.authorizer_ca_file; }
  ));
  k.push_back(text_key(
      "audit.file",
      "Where each call of the control plane is written, in the data folder unless absolute; off.",
      [](C& c) -> S& { return c.audit_file; },
      [](std::string_view t) { return !t.empty(); },
      "a file name, or off"
  ));
  k.push_back(number_key<std::uint64_t>(
      "audit.bytes_max",
      "Size at which the audit log is put aside as FILE.1 and begun anew.",
      [](C & c) -> auto& { return c.audit_bytes_max; },
      64U << 10
  ));
  k.push_back(path_key(
      "backup.dir",
      "Folder in which backups are made; empty: backups in the data folder. On the same file "
      "system "
      "they share the store's files with it.",
      [](C & c) -> auto& { return c.backup_dir; }
  ));
  k.push_back(number_key<std::uint32_t>(
      "api.clock_skew_s",
      "Seconds that a signature's time may differ from ours, and that a recorded request could be "
      "sent again.",
      [](C & c) -> auto& { return c.api_clock_skew_s; },
      1,
      86'400
  ));
  k.push_back(path_key(
      "secrets.dir",
      "Folder of secrets, each a file named as the secret, for targets and get_secret(); beside "
      "`iotcore secret put` and the environment's IOTCORE_SECRET_NAME; empty: none.",
      [](C & c) -> auto& { return c.secrets_dir; }
  ));
  k.push_back(path_key(
      "rules.dir",
      "Folder of .sql rule files, watched; empty: rules.d in the data folder.",
      [](C & c) -> auto& { return c.rules_dir; }
  ));
  k.push_back(flag_key(
      "rules.files_win",
      "Whether the API refuses to replace or delete a rule of a rule file; false: it may, and that "
      "holds until the file says something else of the rule.",
      [](C & c) -> auto& { return c.rules_files_win; }
  ));
  k.push_back(names_key(
      "rules.roles",
      "ARNs of roles that actions may name as their roleArn, separated by commas: a rule that "
      "names "
      "another is refused when it is written; empty: any.",
      [](C & c) -> auto& { return c.rules_roles; }
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
      "rules.queue_messages_max",
      "Messages in one queue that sqs actions send to.",
      [](C & c) -> auto& { return c.rules_queue_messages_max; },
      1
  ));
  k.push_back(number_key<unsigned>(
      "rules.disk_free_min_percent",
      "Percent of the data folder's disk that must be free for records to pile up for sinks; below "
      "it publishers are held back as if the outbox were full.",
      [](C & c) -> auto& { return c.rules_disk_free_min_percent; },
      0,
      99
  ));
  for (ConfigKey& key : rule_language_keys()) {
    k.push_back(std::move(key));
  }
  k.push_back(text_key(
      "http.allow",
      "Addresses that may be called although they are private, and without TLS, by who names URLs "
      "over the API or in rules: \"10.0.0.0/8, 127.0.0.1\".",
      [](C& c) -> S& { return c.http_allow; },
      [](std::string_view t) { return t.empty() || net::parse_address_ranges(t).has_value(); },
      "addresses or ranges, separated by commas"
  ));
  k.push_back(text_key(
      "http.confirmation",
      "Whether who is behind a rule destination's URL has to confirm it: required, off.",
      [](C& c) -> S& { return c.http_confirmation; },
      [](std::string_view t) { return t == "required" || t == "off"; },
      "required or off"
  ));
  for (ConfigKey& key : shadow_keys()) {
    k.push_back(std::move(key));
  }
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
  append_function_keys(k);
  append_gateway_keys(k);
  append_mqtt_keys(k);
  return k;
}

}  // namespace

const std::vector<ConfigKey>& config_keys() {
  static const std::vector<ConfigKey> keys = make_keys();
  return keys;
}

}  // namespace iotcore::server
