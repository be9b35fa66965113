#include "rules/actions/influx_sink.h"

#include "base/crypto.h"
#include "rules/http_outcome.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace iotcore::rules::actions {
namespace {

constexpr std::string_view kWho = "InfluxDB";

// What each version calls the units.
std::string_view precision_of(std::string_view version, std::string_view unit) {
  if (version == "1") {
    return unit == "us" ? "u" : unit;
  }
  if (version == "3") {
    return unit == "s"    ? "second"
           : unit == "ms" ? "millisecond"
           : unit == "us" ? "microsecond"
                          : "nanosecond";
  }
  return unit;
}

}  // namespace

InfluxOptions read_influx(MemberReader& members) {
  static constexpr auto kVersions = std::to_array<std::string_view>({"1", "2", "3"});
  InfluxOptions options;
  options.http = read_http(members);
  options.version = members.choice("version", kVersions, "2");
  options.database = members.optional_text("database").value_or(std::string());
  options.organization = members.optional_text("organization").value_or(std::string());
  options.token = members.optional_text_or_secret("token");
  options.user = members.optional_text_or_secret("user");
  options.password = members.optional_text_or_secret("password");
  const bool is_first = options.version == "1";
  for (const std::string_view name : {"token", "organization"}) {
    if (is_first && members.has(name)) {
      members.fail_member(name, "InfluxDB 1 has user and password");
    }
  }
  for (const std::string_view name : {"user", "password"}) {
    if (!is_first && members.has(name)) {
      members.fail_member(name, "InfluxDB 2 and 3 have a token");
    }
  }
  return options;
}

std::string influx_write_target(const InfluxOptions& options, const InfluxLines& lines) {
  const std::string database =
      net::percent_encode(lines.database.empty() ? options.database : lines.database);
  const std::string_view precision = precision_of(options.version, lines.unit);
  if (options.version == "1") {
    return fmt::format("{}/write?db={}&precision={}", options.http.path, database, precision);
  }
  if (options.version == "3") {
    return fmt::format(
        "{}/api/v3/write_lp?db={}&precision={}", options.http.path, database, precision
    );
  }
  const std::string organization =
      net::percent_encode(lines.organization.empty() ? options.organization : lines.organization);
  return fmt::format(
      "{}/api/v2/write?org={}&bucket={}&precision={}",
      options.http.path,
      organization,
      database,
      precision
  );
}

Result<InfluxSink::Opened> InfluxSink::open() {
  IOTCORE_ASSIGN(InfluxOptions options, open_target(*target_, targets_, read_influx));
  IOTCORE_ASSIGN(net::HttpServer server, load_server(options.http));
  return Opened{std::move(options), std::move(server)};
}

Status InfluxSink::ensure_open() {
  if (connection_) {
    return {};
  }
  IOTCORE_ASSIGN(Opened opened, open());
  options_ = std::move(opened.options);
  connection_.emplace(std::move(opened.server));
  return {};
}

Result<net::HttpResponse> InfluxSink::post(std::span<const Item> items) {
  net::HttpRequest request;
  request.method = "POST";
  request.target = influx_write_target(*options_, items.front().lines);
  request.headers.add("Content-Type", "text/plain; charset=utf-8");
  if (!options_->token.empty()) {
    const std::string_view scheme = options_->version == "3" ? "Bearer" : "Token";
    request.headers.add("Authorization", fmt::format("{} {}", scheme, options_->token));
  } else if (!options_->user.empty()) {
    request.headers.add(
        "Authorization", "Basic " + to_base64(options_->user + ":" + options_->password)
    );
  }
  for (const Item& item : items) {
    request.body += item.lines.lines;
  }
  return connection_->call(std::move(request), options_->http.timeout);
}

void InfluxSink::write(std::span<const Item> items, std::span<Outcome> outcomes) {
  if (const Status open = ensure_open(); !open) {
    for (const Item& item : items) {
      outcomes[item.place] = outcome_of(open.error(), kWho);
    }
    return;
  }
  Result<net::HttpResponse> response = post(items);
  if (response && response->status == 401) {
    // The token may have been changed: it is read again, once.
    connection_.reset();
    if (ensure_open()) {
      response = post(items);
    }
  }
  const bool refused =
      response && (response->status == 400 || response->status == 413 || response->status == 422);
  if (refused && items.size() > 1) {
    const std::size_t half = items.size() / 2;
    write(items.first(half), outcomes);
    write(items.subspan(half), outcomes);
    return;
  }
  Outcome all = response ? outcome_of(*response, kWho) : outcome_of(response.error(), kWho);
  all.request = ++requests_;
  for (const Item& item : items) {
    outcomes[item.place] = all;
  }
}

void InfluxSink::deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  if (const Status open = ensure_open(); !open) {
    std::ranges::fill(outcomes, outcome_of(open.error(), kWho));
    return;
  }
  std::vector<std::vector<Item>> groups;  // of one request each
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Result<InfluxLines> lines = lines_of(*batch[i]);
    if (!lines) {
      outcomes[i] = Outcome::permanent(lines.error().message());
      continue;
    }
    auto group = std::ranges::find_if(groups, [&](const std::vector<Item>& each) {
      const InfluxLines& other = each.front().lines;
      return other.database == lines->database && other.organization == lines->organization &&
             other.unit == lines->unit;
    });
    if (group == groups.end()) {
      group = groups.emplace(groups.end());
    }
    group->push_back({i, *std::move(lines)});
  }
  for (const std::vector<Item>& group : groups) {
    write(group, outcomes);
  }
}

Status InfluxSink::probe() {
  IOTCORE_TRY(ensure_open());
  net::HttpRequest request;
  request.method = "GET";
  request.target = options_->http.path + "/ping";
  IOTCORE_ASSIGN(
      const net::HttpResponse response,
      connection_->call(std::move(request), options_->http.timeout)
  );
  return is_worth_a_retry(response.status)
             ? fail(Errc::kUnavailable, fmt::format("InfluxDB: {}", response.status))
             : Status();
}

}  // namespace iotcore::rules::actions
