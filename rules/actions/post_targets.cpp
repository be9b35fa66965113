#include "rules/actions/post_targets.h"

#include "base/crypto.h"
#include "rules/actions/aws_calls.h"
#include "rules/actions/cloudwatch.h"
#include "rules/actions/messages.h"
#include "rules/actions/streams.h"
#include "rules/http_outcome.h"
#include "rules/series/series_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

namespace iotcore::rules::actions {
namespace {

constexpr std::string_view kOn = "true";

// What the service takes, and how: constants.
struct PostApi {
  std::string_view who;
  // Of one record.
  Result<json::array> (*entries_of)(const Record& record);
  // Of several; where only one record makes a request, of that.
  net::HttpRequest (*request_of)(json::array entries, const Record& first);
  bool takes_several = true;
};

class PostSink final : public Sink {
 public:
  PostSink(const PostApi& api, TargetRef target, const Targets& targets)
      : api_(api), target_(std::move(target)), targets_(targets) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    if (const Status open = ensure_open(); !open) {
      std::ranges::fill(outcomes, outcome_of(open.error(), api_.who));
      return;
    }
    std::vector<Item> items;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Result<json::array> entries = api_.entries_of(*batch[i]);
      if (entries) {
        items.push_back({i, batch[i], *std::move(entries)});
      } else {
        outcomes[i] = Outcome::permanent(entries.error().message());
      }
    }
    const std::size_t step = api_.takes_several ? std::max<std::size_t>(items.size(), 1) : 1;
    Outcome last;
    for (std::size_t at = 0; at < items.size(); at += step) {
      last = send(std::span(items).subspan(at, std::min(step, items.size() - at)), last, outcomes);
    }
  }

  // Whether it takes us is for the next record to find out; this opens the secrets again.
  Status probe() override {
    connection_.reset();
    return ensure_open();
  }

 private:
  struct Item {
    std::size_t place;
    const Record* record;
    json::array entries;
  };

  Status ensure_open() {
    if (connection_) {
      return {};
    }
    IOTCORE_ASSIGN(options_, open_target(*target_, targets_, read_post));
    IOTCORE_ASSIGN(net::HttpServer server, load_server(options_.http));
    connection_.emplace(std::move(server));
    return {};
  }

  // The outcome of the last of them, or `before`, of what went before them, if that has to come again first. What is refused is looked for
  // in smaller and smaller parts.
  Outcome send(std::span<const Item> items, const Outcome& before, std::span<Outcome> outcomes) {
    const bool waits = before.kind == Outcome::Kind::kRetry;
    const Outcome outcome = waits ? Outcome::behind(before) : post(items);
    if (outcome.kind == Outcome::Kind::kPermanent && items.size() > 1) {
      const std::size_t half = items.size() / 2;
      return send(items.subspan(half), send(items.first(half), before, outcomes), outcomes);
    }
    for (const Item& item : items) {
      outcomes[item.place] = outcome;
    }
    return outcome;
  }

  Outcome post(std::span<const Item> items) {
    json::array entries;
    for (const Item& item : items) {
      entries.insert(entries.end(), item.entries.begin(), item.entries.end());
    }
    net::HttpRequest request = api_.request_of(std::move(entries), *items.front().record);
    request.method = "POST";
    request.target = options_.http.path + request.target;
    request.headers.set("Content-Type", "application/json");
    request.headers.set("x-iotcore-delivery-id", items.front().record->delivery_id);
    if (!options_.token.empty()) {
      request.headers.set("Authorization", "Bearer " + options_.token);
    } else if (!options_.user.empty()) {
      request.headers.set(
          "Authorization", "Basic " + to_base64(options_.user + ":" + options_.password)
      );
    }
    if (!options_.tenant.empty()) {
      request.headers.set("X-Scope-OrgID", options_.tenant);
    }
    const Result<net::HttpResponse> response =
        connection_->call(std::move(request), options_.http.timeout);
    return response ? outcome_of(*response, api_.who) : outcome_of(response.error(), api_.who);
  }

  const PostApi& api_;
  const TargetRef target_;
  const Targets& targets_;
  PostOptions options_;
  std::optional<net::HttpConnection> connection_;
};

tl::unexpected<Error> not_of_this_kind() {
  return fail(Errc::kInvalidRequest, "not a record of this kind");
}

Result<json::array> alert_of(const Record& record) {
  if (record.fields.size() != kCloudwatchAlarmFieldCount) {
    return not_of_this_kind();
  }
  // Alertmanager takes one that nobody repeats for over after a few minutes: until we say so.
  constexpr std::int64_t kYearMs = 365LL * 24 * 3600 * 1000;
  const bool is_on = record.fields[kStateValue] == "ALARM";
  json::object alert;
  alert["labels"] = json::object{{"alertname", record.fields[kAlarmName]}};
  alert["annotations"] = json::object{
      {"description", record.fields[kStateReason]}, {"state", record.fields[kStateValue]}};
  alert["startsAt"] = aws_time(record.received_ms);
  alert["endsAt"] = aws_time(record.received_ms + (is_on ? kYearMs : 0));
  return json::array{std::move(alert)};
}

constexpr PostApi kAlertmanager = {
    .who = "Alertmanager",
    .entries_of = &alert_of,
    .request_of = [](json::array entries, const Record& /*first*/) {
      net::HttpRequest request;
      request.target = "/api/v2/alerts";
      request.body = to_json(entries);
      return request;
    }};

Result<json::array> stream_of(const Record& record) {
  IOTCORE_ASSIGN(const std::vector<LogEvent> events, log_events_of(record));
  json::array values;
  for (const LogEvent& event : events) {
    IOTCORE_ASSIGN(
        const std::int64_t time_ns, series::to_nanoseconds(event.time_ms, "MILLISECONDS")
    );
    values.push_back(json::array{fmt::to_string(time_ns), event.message});
  }
  json::object stream;
  stream["stream"] = json::object{{"log_group", record.fields[kLogGroup]}};
  stream["values"] = std::move(values);
  return json::array{std::move(stream)};
}

constexpr PostApi kLoki = {
    .who = "Loki",
    .entries_of = &stream_of,
    .request_of = [](json::array entries, const Record& /*first*/) {
      net::HttpRequest request;
      request.target = "/loki/api/v1/push";
      request.body = to_json(json::object{{"streams", std::move(entries)}});
      return request;
    }};

Result<json::array> input_of(const Record& record) {
  if (record.fields.size() != kIotEventsFieldCount) {
    return not_of_this_kind();
  }
  IOTCORE_ASSIGN(json::value result, parse_json(record.payload));
  return json::array{std::move(result)};
}

constexpr PostApi kInputs = {
    .who = "input",
    .entries_of = &input_of,
    .request_of =
        [](json::array entries, const Record& first) {
          net::HttpRequest request;
          request.target = "/" + net::percent_encode(first.fields[kInputName]);
          request.body = to_json(entries[0]);
          const std::string& id = first.fields[kMessageId];
          request.headers.set("x-iotcore-message-id", id.empty() ? first.delivery_id : id);
          return request;
        },
    .takes_several = false};

}  // namespace

PostOptions read_post(MemberReader& members) {
  PostOptions options;
  options.http = read_http(members);
  options.user = members.optional_text_or_secret("user");
  options.password = members.optional_text_or_secret("password");
  options.token = members.optional_text_or_secret("token");
  options.tenant = members.optional_text("tenant").value_or(std::string());
  if (members.has("token") && members.has("user")) {
    members.fail_member("token", "is instead of user and password");
  }
  return options;
}

Result<std::unique_ptr<Sink>> make_alertmanager(
    const TargetRef& target, const SinkEnvironment& environment
) {
  return std::make_unique<PostSink>(kAlertmanager, target, *environment.targets);
}

Result<std::unique_ptr<Sink>> make_loki(
    const TargetRef& target, const SinkEnvironment& environment
) {
  return std::make_unique<PostSink>(kLoki, target, *environment.targets);
}

Result<std::unique_ptr<Sink>> make_http_inputs(
    const TargetRef& target, const SinkEnvironment& environment
) {
  return std::make_unique<PostSink>(kInputs, target, *environment.targets);
}

}  // namespace iotcore::rules::actions
