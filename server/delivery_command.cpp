#include "base/crypto.h"
#include "base/files.h"
#include "net/http_message.h"
#include "server/api_client.h"
#include "server/commands.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <iterator>
#include <thread>

namespace iotcore::server {
namespace {

const json::value& member_of(const json::value& value, std::string_view name) {
  static const json::value kNothing;
  const json::value* member = value.is_object() ? find_member(value.get_object(), name) : nullptr;
  return member == nullptr ? kNothing : *member;
}

std::string text_of(const json::value& value, std::string_view name) {
  const json::value& member = member_of(value, name);
  return member.is_string() ? std::string(member.get_string()) : std::string();
}

std::int64_t number_of(const json::value& value, std::string_view name) {
  const json::value& member = member_of(value, name);
  return member.is_number() ? member.to_number<std::int64_t>() : 0;
}

std::span<const json::value> list_of(const json::value& value, std::string_view name) {
  const json::value& member = member_of(value, name);
  return member.is_array() ? std::span(member.get_array().data(), member.get_array().size())
                           : std::span<const json::value>();
}

std::string date_of(const json::value& value, std::string_view name) {
  const json::value& member = member_of(value, name);
  const std::time_t seconds =
      member.is_number() ? static_cast<std::time_t>(member.to_number<double>()) : 0;
  std::tm parts = {};
  ::gmtime_r(&seconds, &parts);
  char out[32] = {};
  std::strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return out;
}

// Bytes of the API, for people.
std::string shown_bytes(const json::value& value, std::string_view name) {
  const std::string encoded = text_of(value, name);
  const std::string bytes = from_base64(encoded).value_or("");
  const bool is_text = std::ranges::all_of(bytes, [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t';
  });
  return is_text ? bytes : "base64:" + encoded;
}

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
}

void print_failures(const json::value& letter) {
  for (const json::value& failure : list_of(letter, "failures")) {
    print(fmt::format(
        "  {} {}: {}\n",
        text_of(failure, "action"),
        text_of(failure, "resource"),
        text_of(failure, "message")
    ));
  }
}

json::object selection_of(const DeadLetterOptions& options) {
  json::object body;
  if (!options.ids.empty()) {
    json::array ids;
    for (const std::string& id : options.ids) {
      ids.emplace_back(id);
    }
    body["deadLetterIds"] = std::move(ids);
  } else if (!options.rule.empty()) {
    body["ruleName"] = options.rule;
  }
  return body;
}

Status act_on_dead_letters(
    const DeadLetterOptions& options, std::string_view what, std::string_view done
) {
  if (options.ids.empty() && options.rule.empty() && !options.all) {
    return fail(Errc::kInvalidRequest, "say which: ids, --rule NAME or --all");
  }
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(options.data_dir));
  const json::object body = selection_of(options);
  IOTCORE_ASSIGN(
      const json::value answer,
      api.call("POST", fmt::format("/_iotcore/dead-letters/{}", what), &body)
  );
  print(fmt::format("{} {}\n", number_of(answer, "count"), done));
  return {};
}

void print_event(const json::value& event) {
  const std::string outcome = text_of(event, "outcome");
  print(fmt::format(
      "{} {} from {}\n  in   {}\n",
      date_of(event, "date"),
      text_of(event, "topic"),
      text_of(event, "clientId"),
      shown_bytes(event, "payload")
  ));
  if (outcome == "FIRED") {
    print(fmt::format("  out  {}\n", shown_bytes(event, "output")));
  } else {
    print(
        outcome == "NOT_FIRED" ? "  WHERE is not true\n"
                               : "  failed: " + text_of(event, "error") + "\n"
    );
  }
  for (const json::value& action : list_of(event, "actions")) {
    const std::string error = text_of(action, "error");
    print(fmt::format(
        "  do   {} {}\n",
        text_of(action, "kind"),
        error.empty() ? text_of(action, "resource") : "failed: " + error
    ));
  }
  std::fflush(stdout);
}

std::string secret_target(const SecretOptions& options) {
  std::string target = "/_iotcore/secrets";
  for (std::size_t begin = 0; begin <= options.name.size();) {
    const std::size_t end = std::min(options.name.find('/', begin), options.name.size());
    target += "/" + net::percent_encode(options.name.substr(begin, end - begin));
    begin = end + 1;
  }
  return target;
}

}  // namespace

Status list_sinks(const std::filesystem::path& data_dir) {
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(data_dir));
  IOTCORE_ASSIGN(const json::value answer, api.call("GET", "/_iotcore/sinks"));
  print(fmt::format("{:<5} {:>9} {:>12} {:>8}  {}\n", "STATE", "RECORDS", "BYTES", "OLDEST", "SINK")
  );
  for (const json::value& sink : list_of(answer, "sinks")) {
    const bool up = member_of(sink, "up") == json::value(true);
    const bool waits = member_of(sink, "oldestSeconds").is_number();
    print(fmt::format(
        "{:<5} {:>9} {:>12} {:>8}  {}\n",
        up ? "up" : "DOWN",
        number_of(sink, "records"),
        number_of(sink, "bytes"),
        waits ? fmt::format("{} s", number_of(sink, "oldestSeconds")) : "-",
        text_of(sink, "sink")
    ));
    if (const std::string error = text_of(sink, "lastError"); !error.empty()) {
      print(fmt::format("      {}{}\n", up ? "last error: " : "", error));
    }
  }
  return {};
}

Status list_dead_letters(const DeadLetterOptions& options) {
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(options.data_dir));
  std::string next;
  do {
    std::string target = "/_iotcore/dead-letters?maxResults=100";
    target += options.rule.empty() ? "" : "&ruleName=" + net::percent_encode(options.rule);
    target += next.empty() ? "" : "&nextToken=" + net::percent_encode(next);
    IOTCORE_ASSIGN(const json::value page, api.call("GET", target));
    for (const json::value& letter : list_of(page, "deadLetters")) {
      print(fmt::format(
          "{}  {}  {} bytes for {}\n",
          text_of(letter, "deadLetterId"),
          date_of(letter, "failedDate"),
          number_of(letter, "payloadBytes"),
          text_of(letter, "sink").empty() ? "its errorAction" : text_of(letter, "sink")
      ));
      print_failures(letter);
    }
    next = text_of(page, "nextToken");
  } while (!next.empty());
  return {};
}

Status show_dead_letter(const DeadLetterOptions& options) {
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(options.data_dir));
  for (const std::string& id : options.ids) {
    IOTCORE_ASSIGN(
        const json::value answer,
        api.call("GET", "/_iotcore/dead-letters/" + net::percent_encode(id))
    );
    const json::value& letter = member_of(answer, "deadLetter");
    print(fmt::format(
        "rule      {}\nsink      {}\nreceived  {}\nfailed    {}\ndelivery  {}\n",
        text_of(letter, "ruleName"),
        text_of(letter, "sink"),
        date_of(answer, "receivedDate"),
        date_of(letter, "failedDate"),
        text_of(answer, "deliveryId")
    ));
    for (const json::value& field : list_of(answer, "fields")) {
      print(fmt::format("field     {}\n", std::string(field.as_string())));
    }
    print("failures\n");
    print_failures(letter);
    print(fmt::format("payload\n{}\n", shown_bytes(answer, "payload")));
  }
  return {};
}

Status retry_dead_letters(const DeadLetterOptions& options) {
  return act_on_dead_letters(options, "retry", "on their way again");
}

Status drop_dead_letters(const DeadLetterOptions& options) {
  return act_on_dead_letters(options, "drop", "dropped");
}

Status trace_rule(const TraceOptions& options) {
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(options.data_dir));
  const std::string target = "/_iotcore/rules/" + net::percent_encode(options.rule) + "/trace";
  std::int64_t after = 0;
  std::size_t shown = 0;
  while (options.count == 0 || shown < options.count) {
    IOTCORE_ASSIGN(
        const json::value page, api.call("GET", fmt::format("{}?after={}", target, after))
    );
    if (after == 0) {
      std::fprintf(stderr, "tracing %s; end with Ctrl-C\n", options.rule.c_str());
    }
    if (const std::int64_t missed = number_of(page, "missed"); missed > 0) {
      print(fmt::format("({} more are not shown)\n", missed));
    }
    for (const json::value& event : list_of(page, "events")) {
      print_event(event);
      if (++shown == options.count) {
        return {};
      }
    }
    after = number_of(page, "next");
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
  return {};
}

Status put_secret(const SecretOptions& options) {
  std::string bytes;
  if (options.from_file.empty()) {
    bytes.assign(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
    if (bytes.ends_with('\n')) {
      bytes.pop_back();
    }
  } else {
    IOTCORE_ASSIGN(bytes, read_file(options.from_file));
  }
  json::object body;
  if (options.binary) {
    body["secretBinary"] = to_base64(bytes);
  } else {
    body["secretString"] = bytes;
  }
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(options.data_dir));
  IOTCORE_TRY(api.call("PUT", secret_target(options), &body));
  print(fmt::format("{} is kept\n", options.name));
  return {};
}

Status list_secrets(const SecretOptions& options) {
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(options.data_dir));
  IOTCORE_ASSIGN(const json::value answer, api.call("GET", "/_iotcore/secrets"));
  for (const json::value& secret : list_of(answer, "secrets")) {
    const bool is_kept = text_of(secret, "source") == "STORE";
    print(fmt::format(
        "{:<20}  {}{}\n",
        is_kept ? date_of(secret, "modifiedDate") : "file",
        text_of(secret, "secretName"),
        member_of(secret, "isBinary") == json::value(true) ? " (binary)" : ""
    ));
  }
  return {};
}

Status delete_secret(const SecretOptions& options) {
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(options.data_dir));
  IOTCORE_TRY(api.call("DELETE", secret_target(options)));
  print(fmt::format("{} is deleted\n", options.name));
  return {};
}

}  // namespace iotcore::server
