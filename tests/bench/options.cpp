#include "tests/bench/options.h"

#include "tests/bench/record.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string_view>
#include <variant>

namespace iotcore::bench {
namespace {

using Field = std::variant<std::string*, std::uint32_t*, double*>;

std::map<std::string_view, Field> fields(Options& options) {
  return {
      {"--host", &options.host},
      {"--port", &options.port},
      {"--label", &options.label},
      {"--pid", &options.pid},
      {"--version", &options.version},
      {"--qos", &options.qos},
      {"--clients", &options.clients},
      {"--publishers", &options.publishers},
      {"--window", &options.window},
      {"--payload", &options.payload},
      {"--filters", &options.filters},
      {"--filters-per-packet", &options.filters_per_packet},
      {"--count", &options.count},
      {"--parallel", &options.parallel},
      {"--threads", &options.threads},
      {"--rate", &options.rate},
      {"--websocket", &options.websocket},
      {"--persistent", &options.persistent},
      {"--seconds", &options.seconds},
      {"--warmup", &options.warmup},
      {"--disturb", &options.disturb},
      {"--tls-port", &options.tls_port},
      {"--api-port", &options.api_port},
      {"--ca", &options.ca},
      {"--cert", &options.cert},
      {"--key", &options.key},
      {"--server-name", &options.server_name},
  };
}

[[noreturn]] void usage(const std::string& problem) {
  Options defaults;
  std::string names;
  for (const auto& [name, field] : fields(defaults)) {
    names += fmt::format(" {}", name);
  }
  fmt::print(
      stderr,
      "loadgen: {}\nusage: loadgen SCENARIO --port N [--option value]...\n"
      "scenarios: p2p fan-in fan-out single one-topic latency connect tls-resume idle "
      "subscriptions retained https-publish neighbours shadow-updates shadow-answered "
      "shadow-gets ingest\noptions:{}\n",
      problem,
      names
  );
  std::exit(2);
}

template <typename Number>
bool read_number(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

bool read_field(std::string_view text, const Field& field) {
  if (auto* const* target = std::get_if<std::string*>(&field)) {
    **target = text;
    return true;
  }
  if (auto* const* target = std::get_if<double*>(&field)) {
    return read_number(text, **target);
  }
  return read_number(text, *std::get<std::uint32_t*>(field));
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options;
  const auto known = fields(options);
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (!word.starts_with("--")) {
      if (!options.scenario.empty()) {
        usage(fmt::format("two scenarios: {} and {}", options.scenario, word));
      }
      options.scenario = word;
      continue;
    }
    const auto field = known.find(word);
    if (field == known.end()) {
      usage(fmt::format("unknown option {}", word));
    }
    if (i + 1 == argc || !read_field(argv[i + 1], field->second)) {
      usage(fmt::format("{} needs a value", word));
    }
    ++i;
  }
  if (options.scenario.empty() || options.port == 0 || options.port > 65535) {
    usage("a scenario and --port are needed");
  }
  if ((options.version != 4 && options.version != 5) || options.qos > 2 || options.threads == 0 ||
      options.parallel == 0 || options.filters_per_packet == 0 || options.window > 60000) {
    usage("--version is 4 or 5, --qos 0 to 2, --window at most 60000, counts are positive");
  }
  return options;
}

void fail(const std::string& message) {
  fmt::print(stderr, "loadgen: {}\n", message);
  Record record;
  record.add("error", message);
  fmt::print("{}\n", record.json());
  std::fflush(stdout);
  std::_Exit(1);
}

}  // namespace iotcore::bench
