// The load generator: measures one regime against one MQTT server and prints one line of JSON.
// docs/performance.md says how to read it; tests/bench/run runs it against several servers in turn.

#include "tests/bench/scenarios.h"

#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <memory>
#include <string_view>
#include <sys/resource.h>

namespace {

using iotcore::bench::Options;
using iotcore::bench::Record;
using iotcore::bench::TlsClient;

using Scenario = void (*)(const Options&, TlsClient*, Record&);

const std::map<std::string_view, Scenario> kScenarios = {
    {"p2p", iotcore::bench::pairs},
    {"single", iotcore::bench::pairs},
    {"fan-in", iotcore::bench::fan_in},
    {"fan-out", iotcore::bench::fan_out},
    {"one-topic", iotcore::bench::one_topic},
    {"latency", iotcore::bench::latency},
    {"connect", iotcore::bench::connect_storm},
    {"tls-resume", iotcore::bench::connect_storm},
    {"idle", iotcore::bench::idle_memory},
    {"subscriptions", iotcore::bench::subscriptions},
    {"retained", iotcore::bench::retained},
    {"https-publish", iotcore::bench::https_publish},
    {"neighbours", iotcore::bench::neighbours},
    {"shadow-updates", iotcore::bench::shadow_updates},
    {"shadow-answered", iotcore::bench::shadow_updates},
    {"shadow-gets", iotcore::bench::shadow_gets},
    {"ingest", iotcore::bench::ingest},
};

void allow_many_files() {
  rlimit files = {};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = iotcore::bench::parse_options(argc, argv);
  const auto scenario = kScenarios.find(options.scenario);
  if (scenario == kScenarios.end()) {
    iotcore::bench::fail(fmt::format("no scenario {}", options.scenario));
  }
  allow_many_files();
  std::unique_ptr<TlsClient> tls;
  if (!options.ca.empty()) {
    tls = std::make_unique<TlsClient>(options);
  }
  Record record;
  record.add("scenario", options.scenario);
  record.add("peer", options.label);
  record.add("version", options.version);
  record.add("qos", options.qos);
  record.add("payload", options.payload);
  scenario->second(options, tls.get(), record);
  fmt::print("{}\n", record.json());
  std::fflush(stdout);
  return 0;
}
