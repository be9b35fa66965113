#include "server/config.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace iotcore::server {
namespace {

std::string message_of(const Result<Config>& result) {
  return result ? "no error" : result.error().message();
}

TEST_CASE("an unknown key names the nearest one, a bad value what is expected") {
  ConfigSources sources;
  sources.overrides = {"listen.mqqt=off"};
  CHECK(
      message_of(load_config(sources)) ==
      "unknown configuration key listen.mqqt; did you mean listen.mqtt?"
  );
  sources.overrides = {"listen.mqtts=8883"};
  CHECK(
      message_of(load_config(sources)) ==
      "configuration key listen.mqtts: \"8883\" is not host:port, [ipv6]:port, or off"
  );
  sources.overrides = {"listen.mqtts=0.0.0.0:70000"};
  CHECK_FALSE(load_config(sources));
  sources.overrides = {"workers"};
  CHECK(message_of(load_config(sources)) == "--set workers: write it as key=value");
  sources.overrides = {"aws.account=12"};
  CHECK(
      message_of(load_config(sources)) == "configuration key aws.account: \"12\" is not 12 digits"
  );
  sources.overrides = {"mqtt.receive_maximum=0"};
  CHECK_FALSE(load_config(sources));
  sources.overrides = {"mqtt.receive_maximum=65536"};
  CHECK_FALSE(load_config(sources));
}

TEST_CASE("the development faces need --dev and a loopback address") {
  ConfigSources sources;
  sources.overrides = {"listen.mqtt=127.0.0.1:1883"};
  CHECK_FALSE(load_config(sources));
  sources.dev = true;
  CHECK(load_config(sources)->listen_mqtt.port == 1883);
  CHECK(load_config(sources)->listen_http.is_on());
  sources.overrides = {"listen.mqtt=0.0.0.0:1883"};
  CHECK_FALSE(load_config(sources));
  sources.overrides = {"listen.mqtt=off"};
  CHECK_FALSE(load_config(sources)->listen_mqtt.is_on());
}

TEST_CASE("--set beats the environment, which beats the file") {
  const auto file = std::filesystem::temp_directory_path() / "iotcore-config-test.toml";
  std::ofstream(file) << "workers = 2\n[listen]\nadmin = \"off\"\n[mqtt]\nreceive_maximum = "
                         "7\n[store]\ncache_bytes = \"64m\"\n";
  ConfigSources sources;
  sources.file = file;
  sources.environment = {
      {"IOTCORE_WORKERS", "3"}, {"IOTCORE_MQTT_RECEIVE_MAXIMUM", "8"}, {"PATH", "/bin"}};
  sources.overrides = {"mqtt.receive_maximum=9"};
  const Result<Config> config = load_config(sources);
  REQUIRE(config);
  CHECK(config->workers == 3);
  CHECK(config->mqtt.receive_maximum == 9);
  CHECK_FALSE(config->listen_admin.is_on());
  CHECK(config->store_cache_bytes == 64U << 20);
  std::ofstream(file) << "[listen]\nmqtt = = 1\n";
  CHECK(message_of(load_config(sources)).find("iotcore-config-test.toml:2: ") != std::string::npos);
  std::filesystem::remove(file);
}

TEST_CASE("a profile comes before single keys, wherever it stands") {
  ConfigSources sources;
  sources.environment = {{"IOTCORE_MQTT_TOPIC_LEVELS_MAX", "9"}};
  sources.overrides = {"mqtt.topic_bytes_max=300", "mqtt.profile=strict"};
  const Result<Config> config = load_config(sources);
  REQUIRE(config);
  CHECK(config->mqtt.subscriptions_per_client_max == 50);
  CHECK(config->mqtt.topic_bytes_max == 300);
  CHECK(config->mqtt.topic_levels_max == 9);
  sources.overrides.emplace_back("mqtt.profile=extended");
  CHECK(load_config(sources)->mqtt.subscriptions_per_client_max == 10'000);
}

TEST_CASE("what is printed can be read back and says the same") {
  ConfigSources sources;
  sources.overrides = {
      "listen.admin=[::1]:9443", "tls.server_names=a.example,10.0.0.1", "rules.dir=/r"};
  const Result<Config> config = load_config(sources);
  REQUIRE(config);
  const auto file = std::filesystem::temp_directory_path() / "iotcore-config-print.toml";
  std::ofstream(file) << print_config(*config);
  ConfigSources again;
  again.file = file;
  const Result<Config> read = load_config(again);
  INFO(message_of(read));
  REQUIRE(read);
  CHECK(print_config(*read) == print_config(*config));
  CHECK(read->listen_admin.host == "::1");
  std::filesystem::remove(file);
}

TEST_CASE("things of a type have shadow settings that inherit the rest, whatever the order") {
  ConfigSources sources;
  sources.overrides = {
      "shadow.type.pump:1.history_versions=5",
      "shadow.document_bytes_max=16k",
      "shadow.type.pump:1.delta=changed",
      "shadow.type.fan.document_bytes_max=1m",
      "shadow.delta=always",
  };
  const Result<Config> config = load_config(sources);
  REQUIRE(config);
  const ShadowSetting& pump = config->shadow_by_thing_type.at("pump:1");
  CHECK(pump.history_versions == 5);
  CHECK(pump.delta == "changed");
  CHECK(pump.document_bytes_max == 16U << 10);
  CHECK(config->shadow_by_thing_type.at("fan").document_bytes_max == 1U << 20);
  CHECK(config->shadow.history_versions == 0);

  // What is printed can be read back.
  const auto file = std::filesystem::temp_directory_path() /
                    ("iotcore-config-" + std::to_string(::getpid()) + ".toml");
  std::ofstream(file) << print_config(*config);
  ConfigSources again;
  again.file = file;
  const Result<Config> read = load_config(again);
  std::filesystem::remove(file);
  REQUIRE(read);
  CHECK(print_config(*read) == print_config(*config));

  for (const auto& [text, said] : std::vector<std::pair<std::string, std::string>>{
           {"shadow.type.pump.histroy=1",
            "unknown configuration key shadow.type.pump.histroy; a thing type has "
            "document_bytes_max, delta, "},
           {"shadow.type.pump.cache_bytes=1", "unknown configuration key"},
           {"shadow.type.history_versions=1", "write it as shadow.type.NAME.KEY"},
           {"shadow.type.pump.delta=never",
            "configuration key shadow.type.pump.delta: \"never\" is not one of always, changed"},
           {"shadow.document_bytes_max=1048577", "is not"},
       }) {
    sources.overrides = {text};
    CHECK(message_of(load_config(sources)).find(said) != std::string::npos);
  }
}

}  // namespace
}  // namespace iotcore::server
