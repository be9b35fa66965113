#include "server/config_shadow.h"

#include "base/files.h"
#include "server/config_key_kinds.h"
#include "shadow/document/json_schema.h"

#include <algorithm>

namespace iotcore::server {
namespace {

constexpr std::string_view kTypePrefix = "shadow.type.";
constexpr std::size_t kDocumentBytesMax = 1U << 20;

// Those of ShadowSetting.
std::vector<ConfigKey> setting_keys() {
  using C = Config;
  std::vector<ConfigKey> k;
  k.push_back(number_key<std::size_t>(
      "shadow.document_bytes_max",
      "Size of a shadow's desired and reported state together; AWS allows 8192.",
      [](C & c) -> auto& { return c.shadow.document_bytes_max; },
      1024,
      kDocumentBytesMax
  ));
  k.push_back(choice_key<std::string>(
      "shadow.delta",
      "When a delta is published: always, after each update that leaves a difference, as AWS does; "
      "changed, only when the difference is another one than before.",
      {{"always", "always"}, {"changed", "changed"}},
      [](C & c) -> auto& { return c.shadow.delta; }
  ));
  k.push_back(path_key(
      "shadow.desired_schema",
      "File with the JSON Schema that desired must fit; empty: none.",
      [](C & c) -> auto& { return c.shadow.desired_schema; }
  ));
  k.push_back(path_key(
      "shadow.reported_schema",
      "File with the JSON Schema that reported must fit; empty: none.",
      [](C & c) -> auto& { return c.shadow.reported_schema; }
  ));
  k.push_back(number_key<std::size_t>(
      "shadow.history_versions",
      "Versions of each shadow that are kept for GET /things/{thing}/shadow/history; 0: none.",
      [](C & c) -> auto& { return c.shadow.history_versions; },
      0,
      100'000
  ));
  k.push_back(number_key<std::uint32_t>(
      "shadow.stale_after_s",
      "Seconds without a report after which a shadow is told to be stale; 0: never.",
      [](C & c) -> auto& { return c.shadow.stale_after_s; },
      0
  ));
  k.push_back(number_key<std::uint32_t>(
      "shadow.overdue_after_s",
      "Seconds after which a shadow whose desired state has not been reached is told to be "
      "overdue; 0: never.",
      [](C & c) -> auto& { return c.shadow.overdue_after_s; },
      0
  ));
  return k;
}

Result<std::shared_ptr<const shadow::document::JsonSchema>> read_schema(
    const std::filesystem::path& file
) {
  if (file.empty()) {
    return nullptr;
  }
  IOTCORE_ASSIGN(const std::string text, read_file(file));
  auto schema = shadow::document::JsonSchema::compile(text);
  if (!schema) {
    return fail(Errc::kInvalidRequest, file.string() + ": " + schema.error().message());
  }
  return schema;
}

Result<shadow::ShadowSettings> settings_of(const ShadowSetting& setting) {
  shadow::ShadowSettings settings;
  shadow::document::Limits& limits = settings.document.limits;
  limits.document_bytes_max = setting.document_bytes_max;
  limits.request_bytes_max = std::max(limits.request_bytes_max, 2 * setting.document_bytes_max);
  settings.document.delta_on_change = setting.delta == "changed";
  IOTCORE_ASSIGN(settings.document.desired_schema, read_schema(setting.desired_schema));
  IOTCORE_ASSIGN(settings.document.reported_schema, read_schema(setting.reported_schema));
  settings.history_versions = setting.history_versions;
  settings.stale_after = std::chrono::seconds(setting.stale_after_s);
  settings.overdue_after = std::chrono::seconds(setting.overdue_after_s);
  return settings;
}

}  // namespace

std::vector<ConfigKey> shadow_keys() {
  using C = Config;
  std::vector<ConfigKey> k = setting_keys();
  k.push_back(number_key<std::size_t>(
      "shadow.cache_bytes",
      "Memory for shadows, of all workers together; the longest unused are read from the store "
      "when they are needed again.",
      [](C & c) -> auto& { return c.shadow_cache_bytes; },
      0
  ));
  k.push_back(number_key<std::size_t>(
      "shadow.waiting_requests_max",
      "Requests of one shadow that may wait for the store; the next is refused with 429. AWS "
      "allows 10.",
      [](C & c) -> auto& { return c.shadow_waiting_requests_max; },
      1
  ));
  k.push_back(number_key<std::size_t>(
      "shadow.waiting_bytes_max",
      "Bytes of shadow requests and answers of one worker that may wait for the store; further "
      "requests are refused with 429.",
      [](C & c) -> auto& { return c.shadow_waiting_bytes_max; },
      64U << 10
  ));
  k.push_back(number_key<std::uint32_t>(
      "shadow.tombstone_life_s",
      "Seconds for which a deleted shadow that is made anew goes on counting its versions.",
      [](C & c) -> auto& { return c.shadow_tombstone_life_s; },
      0
  ));
  return k;
}

bool is_thing_type_key(std::string_view key) {
  return key.starts_with(kTypePrefix);
}

Status set_thing_type_key(Config& config, std::string_view key, std::string_view value) {
  const std::string_view rest = key.substr(kTypePrefix.size());
  const std::size_t dot = rest.rfind('.');
  if (dot == std::string_view::npos || dot == 0) {
    return fail(
        Errc::kInvalidRequest,
        "configuration key " + std::string(key) + ": write it as shadow.type.NAME.KEY"
    );
  }
  const std::string name = "shadow." + std::string(rest.substr(dot + 1));
  std::string names;
  for (const ConfigKey& known : setting_keys()) {
    if (known.name == name) {
      config.shadow_type_texts[std::string(rest.substr(0, dot))][name] = value;
      Config scratch;
      if (Status set = known.set(scratch, value); !set) {
        return fail(
            Errc::kInvalidRequest,
            "configuration key " + std::string(key) + ": \"" + std::string(value) + "\" is not " +
                set.error().message()
        );
      }
      return {};
    }
    names.append(names.empty() ? "" : ", ").append(known.name.substr(known.name.find('.') + 1));
  }
  return fail(
      Errc::kInvalidRequest,
      "unknown configuration key " + std::string(key) + "; a thing type has " + names
  );
}

Status resolve_thing_types(Config& config) {
  for (const auto& [type, texts] : config.shadow_type_texts) {
    Config scratch;
    scratch.shadow = config.shadow;
    for (const ConfigKey& key : setting_keys()) {
      if (const auto text = texts.find(key.name); text != texts.end()) {
        IOTCORE_TRY(key.set(scratch, text->second));
      }
    }
    config.shadow_by_thing_type[type] = scratch.shadow;
  }
  return {};
}

std::string print_thing_types(const Config& config) {
  std::string out;
  for (const auto& [type, texts] : config.shadow_type_texts) {
    out += "\n[shadow.type." + toml_text(type) + "]\n";
    Config scratch;
    scratch.shadow = config.shadow_by_thing_type.at(type);
    for (const ConfigKey& key : setting_keys()) {
      if (texts.contains(key.name)) {
        out += key.name.substr(key.name.find('.') + 1) + " = " + key.get(scratch) + "\n";
      }
    }
  }
  return out;
}

Result<shadow::ServiceOptions> shadow_options(const Config& config) {
  shadow::ServiceOptions options;
  IOTCORE_ASSIGN(options.settings, settings_of(config.shadow));
  for (const auto& [type, setting] : config.shadow_by_thing_type) {
    IOTCORE_ASSIGN(options.by_thing_type[type], settings_of(setting));
  }
  options.cache_bytes_max = config.shadow_cache_bytes;
  options.waiting_requests_max = config.shadow_waiting_requests_max;
  options.waiting_bytes_max = config.shadow_waiting_bytes_max;
  options.tombstone_life = std::chrono::seconds(config.shadow_tombstone_life_s);
  return options;
}

}  // namespace iotcore::server
