#include "rules/actions/http.h"

#include "base/bytes.h"
#include "net/http_caller.h"
#include "net/sigv4.h"
#include "rules/actions/aws_sinks.h"
#include "rules/actions/fields_action.h"
#include "rules/bindings.h"
#include "rules/built_ins.h"
#include "rules/http_outcome.h"
#include "rules/sql/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace iotcore::rules::actions {
namespace {

constexpr std::string_view kOn = "true";
constexpr std::size_t kHeadersMax = 100;
// A request keeps one of the sinks' threads as long.
constexpr std::int64_t kTimeoutMsMin = 1'000;
constexpr std::int64_t kTimeoutMsMax = 300'000;

Status check_url(std::string_view value) {
  IOTCORE_TRY(net::parse_http_url(value));
  return {};
}

constexpr auto kFields = std::to_array<FieldSpec>({
    {.member = "url", .check = check_url},
    {.member = "confirmationUrl", .presence = Presence::kOptional, .check = check_url},
    {.member = "auth", .kind = FieldKind::kObject, .presence = Presence::kOptional},
    {.member = "auth.sigv4", .kind = FieldKind::kObject, .presence = Presence::kOptional},
    {.member = "auth.sigv4.signingRegion", .kind = FieldKind::kText},
    {.member = "auth.sigv4.serviceName", .kind = FieldKind::kText},
    {.member = "auth.sigv4.roleArn", .kind = FieldKind::kText},
    {.member = "enableBatching", .kind = FieldKind::kBoolean, .presence = Presence::kOptional},
});
static_assert(kFields.size() == kBatchTopic);

// As RFC 9110 has field names, and not one that the connection itself needs.
Status check_header_name(std::string_view name) {
  constexpr std::size_t kBytesMax = 256;
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  bool ok = !name.empty() && name.size() <= kBytesMax;
  for (const char c : name) {
    ok = ok && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                kOthers.find(c) != std::string_view::npos);
  }
  for (const std::string_view ours :
       {"host", "content-length", "transfer-encoding", "connection"}) {
    ok = ok && !net::equal_ignoring_case(name, ours);
  }
  return ok ? Status()
            : fail(Errc::kInvalidRequest, fmt::format("'{}' cannot be a header here", name));
}

Status check_header_value(std::string_view value) {
  return value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos
             ? Status()
             : fail(Errc::kInvalidRequest, "a header's value has a line end in it");
}

// Those that say who is asking.
bool is_secret_header(std::string_view name) {
  static constexpr auto kParts = std::to_array<std::string_view>(
      {"authorization", "cookie", "key", "token", "secret", "password", "signature"}
  );
  const std::string lower = sql::lower_ascii(name);
  return std::ranges::any_of(kParts, [&](std::string_view part) {
    return lower.find(part) != std::string::npos;
  });
}

constexpr FieldSpec kHeaderKey = {
    .member = "key", .kind = FieldKind::kText, .check = check_header_name};
constexpr FieldSpec kHeaderValue = {
    .member = "value", .presence = Presence::kOptional, .check = check_header_value};
constexpr FieldSpec kTopicSpec = {.member = "topic", .presence = Presence::kOptional};

constexpr BatchBounds kBatchBounds = {
    .open_ms_min = 5,
    .open_ms_max = 200,
    .size_min = 2,
    .size_max = 10,
    .absent = {.open_ms = 20, .size = 10, .bytes = 5120}};

void read_headers(MemberReader& members, FieldsAction& action) {
  const json::array* headers = members.optional_array("headers");
  if (headers == nullptr) {
    return;
  }
  if (headers->size() > kHeadersMax) {
    members.fail_member("headers", "must have at most 100 entries");
    return;
  }
  for (std::size_t i = 0; i < headers->size(); ++i) {
    const std::string at = fmt::format("{}/{}", members.pointer_to("headers"), i);
    if (!(*headers)[i].is_object()) {
      members.fail_at(at, "must be an object with key and value");
      return;
    }
    MemberReader header = members.inner((*headers)[i].get_object(), at);
    if (header.optional_value("value") == nullptr) {
      header.fail_at(at, "member value is missing");
    }
    add_list_field(action, header, kHeaderKey);
    add_list_field(action, header, kHeaderValue);
    if (const auto key = header.optional_text("key"); key && is_secret_header(*key)) {
      action.withhold_last(fmt::format("headers/{}/{}", i, *key));
    }
    members.take_error(header);
  }
}

constexpr auto kMethods =
    std::to_array<std::string_view>({"POST", "PUT", "PATCH", "DELETE", "GET"});

void read_batches_and_headers(MemberReader& members, FieldsAction& action, bool is_webhook) {
  const BatchConfig batches = read_batch_config(members, kBatchBounds);
  const bool on = members.optional_boolean("enableBatching").value_or(false);
  if (on && members.pointer().starts_with("/errorAction")) {
    members.fail_member("enableBatching", "is not possible in an errorAction");
  }
  if (on && !batches.across_topics) {
    action.add(members.compile("${topic()}", members.pointer()), kTopicSpec);
  } else {
    action.add(std::string());
  }
  action.add(fmt::to_string(batches.size));
  action.add(fmt::to_string(batches.bytes));
  if (on) {
    action.set_batches(batches);
  }
  action.add(is_webhook ? members.choice("method", kMethods, "POST") : std::string());
  const auto timeout = is_webhook ? members.optional_duration_ms("timeout") : std::nullopt;
  if (timeout && (*timeout < kTimeoutMsMin || *timeout > kTimeoutMsMax)) {
    members.fail_member("timeout", "must be between 1s and 300s");
  }
  action.add(timeout ? fmt::to_string(*timeout) : std::string());
  read_headers(members, action);
}

constexpr ActionSpec kSpec = {
    .kind = Http::kName,
    .fields = kFields,
    .name = kUrl,
    .read_lists = [](MemberReader& members, FieldsAction& action) {
      read_batches_and_headers(members, action, false);
    }};

// Fields that only http has are there, and empty.
constexpr ActionSpec kWebhookSpec = {
    .kind = Webhook::kName,
    .fields = std::span(kFields).first(1),
    .name = kUrl,
    .read_lists = [](MemberReader& members, FieldsAction& action) {
      for (std::size_t i = kConfirmationUrl; i < kEnableBatching; ++i) {
        action.add(std::string());
      }
      const bool on = members.optional_boolean("enableBatching").value_or(false);
      action.add(std::string(on ? kOn : ""));
      read_batches_and_headers(members, action, true);
    }};

// What has to be confirmed, known before any message: the sink's target.
std::string confirmation_url(MemberReader& members) {
  const auto text = [&](std::string_view name) {
    return members.optional_text(name).value_or(std::string());
  };
  const std::string url = text("url");
  const std::string given = text("confirmationUrl");
  const bool literal = url.find("${") == std::string::npos;
  if (given.empty()) {
    if (!literal) {
      members.fail_at(members.pointer(), "a url with ${…} in it needs a confirmationUrl");
    }
    return url;
  }
  if (given.find("${") != std::string::npos) {
    members.fail_member("confirmationUrl", "has to be known before any message: without ${…}");
  } else if (literal && !is_below(url, given)) {
    members.fail_member("url", "has to begin with the confirmationUrl");
  }
  return given;
}

// Records that make one request.
struct Request {
  std::vector<std::size_t> records;
  std::string body;
};

class HttpSink final : public Sink {
 public:
  // `destinations`: nullptr where nobody has to confirm.
  HttpSink(
      std::string confirmation_url,
      Destinations* destinations,
      net::HttpRules rules,
      const Targets* targets,
      const Clock& clock
  )
      : confirmation_url_(std::move(confirmation_url)),
        destinations_(destinations),
        targets_(targets),
        clock_(clock),
        caller_(std::move(rules)) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    Outcome outcome;
    std::uint32_t number = 0;
    for (const Request& request : requests_of(batch, outcomes)) {
      // What is behind one that has to come again waits for it, so that the order is kept. Headers of the last message, as AWS has it.
      outcome = outcome.kind == Outcome::Kind::kRetry
                    ? Outcome::behind(outcome)
                    : send(*batch[request.records.back()], request);
      const bool is_batch = batch[request.records.front()]->fields[kEnableBatching] == kOn;
      outcome.request = is_batch ? ++number : 0;
      for (const std::size_t i : request.records) {
        outcomes[i] = outcome;
      }
    }
  }

  // Whether something answers there at all is for the next record to find out.
  Status probe() override { return {}; }

 private:
  static bool is_together(const Record& a, const Record& b) {
    return a.rule == b.rule && a.fields[kUrl] == b.fields[kUrl] &&
           a.fields[kBatchTopic] == b.fields[kBatchTopic];
  }

  static std::vector<Request> requests_of(
      std::span<const Record* const> batch, std::span<Outcome> outcomes
  ) {
    std::vector<Request> requests;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const Record& record = *batch[i];
      if (record.fields.size() < kHttpFieldCount) {
        outcomes[i] = Outcome::permanent("not a record of this kind");
        continue;
      }
      if (record.fields[kEnableBatching] != kOn) {
        requests.push_back({{i}, record.payload});
        continue;
      }
      if (!record.is_json && !is_valid_utf8(record.payload)) {
        outcomes[i] = Outcome::permanent("a batch can only hold text");
        continue;
      }
      add_to_batch(requests, batch, i);
    }
    return requests;
  }

  static void add_to_batch(
      std::vector<Request>& requests, std::span<const Record* const> batch, std::size_t i
  ) {
    const Record& record = *batch[i];
    std::string element = record.payload;
    if (!record.is_json) {
      element.clear();
      append_json_string(element, record.payload);
    }
    const auto size =
        static_cast<std::size_t>(to_whole_number(record.fields[kBatchSize]).value_or(1));
    const auto bytes =
        static_cast<std::size_t>(to_whole_number(record.fields[kBatchBytes]).value_or(0));
    for (Request& request : requests) {
      const Record& first = *batch[request.records.front()];
      if (first.fields[kEnableBatching] == kOn && is_together(first, record) &&
          request.records.size() < size && request.body.size() + element.size() + 2 <= bytes) {
        request.body.back() = ',';
        request.body += element + "]";
        request.records.push_back(i);
        return;
      }
    }
    requests.push_back({{i}, "[" + element + "]"});
  }

  Outcome send(const Record& record, const Request& made) {
    const std::string& url = record.fields[kUrl];
    if (const Status allowed = check(url); !allowed) {
      return Outcome::permanent(allowed.error().message());
    }
    net::HttpRequest request;
    request.method = record.fields[kMethod].empty() ? "POST" : record.fields[kMethod];
    const bool is_json = record.is_json || record.fields[kEnableBatching] == kOn;
    request.headers.set("Content-Type", is_json ? "application/json" : "application/octet-stream");
    request.headers.set("x-iotcore-delivery-id", record.delivery_id);
    for (std::size_t i = kHttpFieldCount; i + 1 < record.fields.size(); i += 2) {
      if (!check_header_value(record.fields[i + 1])) {  // known only now, if it has a secret in it
        return Outcome::permanent("header " + record.fields[i] + " has a line end in it");
      }
      request.headers.set(record.fields[i], record.fields[i + 1]);
    }
    request.body = made.body;
    if (!record.fields[kSigV4].empty()) {
      if (const Status signed_ = sign(record, url, request); !signed_) {
        return Outcome::permanent(signed_.error().message());
      }
    }
    const auto timeout_ms = to_whole_number(record.fields[kTimeoutMs]);
    return outcome_of_call(caller_.call(
        url,
        std::move(request),
        timeout_ms ? std::optional(std::chrono::milliseconds(*timeout_ms)) : std::nullopt
    ));
  }

  Status check(const std::string& url) const {
    if (destinations_ == nullptr) {
      return {};
    }
    IOTCORE_TRY(destinations_->check(url));
    return is_below(url, confirmation_url_)
               ? Status()
               : fail(Errc::kForbidden, "the URL does not begin with the confirmationUrl");
  }

  // With the keys of the target of kind aws that the URL is bound to.
  Status sign(const Record& record, const std::string& url, net::HttpRequest& request) const {
    const TargetRef target = targets_ == nullptr ? nullptr : targets_->bind(Http::kName, url);
    if (target == nullptr || target->kind != "aws") {
      return fail(
          Errc::kInvalidRequest,
          "there are no keys to sign with: no target of kind aws matches 'http:" + url + "'"
      );
    }
    IOTCORE_ASSIGN(const json::object options, targets_->open_secrets(*target));
    const auto text = [&](std::string_view name) {
      const json::value* value = find_member(options, name);
      return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
    };
    IOTCORE_ASSIGN(net::HttpUrl parsed, net::parse_http_url(url));
    request.target = parsed.target;
    request.headers.set(
        "Host", net::host_header({parsed.host, parsed.port, parsed.tls, {}, {}, {}})
    );
    net::sign(
        request,
        {text("accessKey"), text("secretKey"), text("sessionToken")},
        {record.fields[kSigningRegion], record.fields[kServiceName]},
        clock_.wall()
    );
    return {};
  }

  const std::string confirmation_url_;
  Destinations* destinations_;
  const Targets* targets_;
  const Clock& clock_;
  net::HttpCaller caller_;
};

// salesforce

Status check_salesforce_url(std::string_view value) {
  IOTCORE_ASSIGN(const net::HttpUrl url, net::parse_http_url(value));
  return url.tls ? Status() : fail(Errc::kInvalidRequest, "must begin with https://");
}

constexpr auto kSalesforceFields = std::to_array<FieldSpec>({
    {.member = "url", .kind = FieldKind::kText, .check = check_salesforce_url},
    {.member = "token", .kind = FieldKind::kText, .check = check_header_value, .is_secret = true},
});
static_assert(kSalesforceFields.size() == kSalesforceFieldCount);

constexpr ActionSpec kSalesforceSpec = {
    .kind = Salesforce::kName, .fields = kSalesforceFields, .name = kSalesforceUrl};

class SalesforceSink final : public Sink {
 public:
  explicit SalesforceSink(net::HttpRules rules) : caller_(std::move(rules)) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    deliver_in_order(batch, outcomes, [this](const Record& record) { return send(record); });
  }

  Status probe() override { return {}; }

 private:
  Outcome send(const Record& record) {
    if (record.fields.size() != kSalesforceFieldCount) {
      return Outcome::permanent("not a record of this kind");
    }
    net::HttpRequest request;
    request.method = "POST";
    request.headers.set("Authorization", "Bearer " + record.fields[kToken]);
    request.headers.set(
        "Content-Type", record.is_json ? "application/json" : "application/octet-stream"
    );
    request.headers.set("x-iotcore-delivery-id", record.delivery_id);
    request.body = record.payload;
    return outcome_of_call(caller_.call(record.fields[kSalesforceUrl], std::move(request)));
  }

  net::HttpCaller caller_;
};

}  // namespace

ParsedAction Http::parse(MemberReader& members, const SinkEnvironment& environment) {
  std::string target = confirmation_url(members);
  std::unique_ptr<FieldsAction> action = read_fields(members, environment, kSpec);
  if (action != nullptr) {
    action->set_target(std::move(target));
  }
  return action;
}

Result<std::unique_ptr<Sink>> Http::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  if (environment.built_ins == nullptr) {
    return fail(Errc::kUnavailable, "there are no destinations here");
  }
  Destinations& destinations = environment.built_ins->destinations;
  IOTCORE_TRY(destinations.ensure(target));
  return std::make_unique<HttpSink>(
      std::string(target),
      &destinations,
      destinations.http(),
      environment.targets,
      clock_of(environment)
  );
}

ParsedAction Webhook::parse(MemberReader& members, const SinkEnvironment& environment) {
  std::unique_ptr<FieldsAction> action = read_fields(members, environment, kWebhookSpec);
  if (action != nullptr) {
    const std::string url = members.optional_text("url").value_or("");
    const Result<net::HttpUrl> parsed = net::parse_http_url(url.substr(0, url.find("${")));
    action->set_target(
        parsed
            ? fmt::format("{}://{}:{}", parsed->tls ? "https" : "http", parsed->host, parsed->port)
            : std::string()
    );
  }
  return action;
}

Result<std::unique_ptr<Sink>> Webhook::make_sink(
    std::string_view /*target*/, const SinkEnvironment& environment
) {
  return std::make_unique<HttpSink>(
      std::string(),
      nullptr,
      environment.built_ins == nullptr ? net::HttpRules()
                                       : environment.built_ins->destinations.http(),
      environment.targets,
      clock_of(environment)
  );
}

ParsedAction Salesforce::parse(MemberReader& members, const SinkEnvironment& environment) {
  std::unique_ptr<FieldsAction> action = read_fields(members, environment, kSalesforceSpec);
  if (action != nullptr) {
    action->set_target(members.text("url")
    );  // a queue for each: one that is away delays nobody else
  }
  return action;
}

Result<std::unique_ptr<Sink>> Salesforce::make_sink(
    std::string_view /*target*/, const SinkEnvironment& environment
) {
  return std::make_unique<SalesforceSink>(
      environment.built_ins == nullptr ? net::HttpRules()
                                       : environment.built_ins->destinations.http()
  );
}

}  // namespace iotcore::rules::actions
