#include "base/clock.h"
#include "net/http_message.h"
#include "server/api_client.h"
#include "server/commands.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <thread>

namespace iotcore::server {
namespace {

std::string text_of(const json::object& event, std::string_view name) {
  const json::value* member = find_member(event, name);
  return member != nullptr && member->is_string() ? std::string(member->get_string())
                                                  : std::string();
}

double number_of(const json::object& event, std::string_view name) {
  const json::value* member = find_member(event, name);
  return member != nullptr && member->is_number() ? member->to_number<double>() : 0;
}

// What happened, as seen from the client: to the server, from it, or about it.
std::string_view arrow_of(std::string_view kind) {
  return kind == "RECEIVED" ? "->" : kind == "SENT" ? "<-" : "  ";
}

void print_event(const json::object& event) {
  const auto ms = static_cast<std::int64_t>(number_of(event, "date") * 1000 + 0.5);
  const std::string kind = text_of(event, "kind");
  const bool is_packet = kind == "RECEIVED" || kind == "SENT";
  std::printf(
      "%s %s%s %s %s\n",
      fmt::format("{:%H:%M:%S}.{:03}", fmt::gmtime(static_cast<std::time_t>(ms / 1000)), ms % 1000)
          .c_str(),
      std::string(arrow_of(kind)).c_str(),
      is_packet ? "" : (" " + kind).c_str(),
      text_of(event, "what").c_str(),
      text_of(event, "detail").c_str()
  );
}

}  // namespace

Status trace_client(const ClientTraceOptions& options) {
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(options.data_dir));
  const std::string target =
      "/_iotcore/clients/" + net::percent_encode(options.client_id) + "/trace?after=";
  const SystemClock clock;
  const auto end = clock.now() + std::chrono::seconds(options.seconds);
  std::int64_t after = 0;
  std::size_t shown = 0;
  for (bool is_first = true;; is_first = false) {
    IOTCORE_ASSIGN(const json::value page, api.call("GET", target + std::to_string(after)));
    if (is_first) {
      std::fprintf(stderr, "tracing %s; end with Ctrl-C\n", options.client_id.c_str());
    }
    if (const double missed = number_of(page.as_object(), "missed"); missed > 0) {
      std::printf("(%.0f more are not shown)\n", missed);
    }
    if (const json::value* events = find_member(page.as_object(), "events");
        events != nullptr && events->is_array()) {
      for (const json::value& event : events->get_array()) {
        print_event(event.as_object());
        if (++shown == options.count) {
          return {};
        }
      }
    }
    std::fflush(stdout);
    after = static_cast<std::int64_t>(number_of(page.as_object(), "next"));
    if (options.seconds != 0 && clock.now() >= end) {
      return {};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
}

}  // namespace iotcore::server
