#include "rules/actions/aws_service.h"

#include "net/http_client.h"
#include "rules/actions/aws_sinks.h"
#include "rules/actions/http_outcome.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

namespace iotcore::rules::actions {
namespace {

constexpr std::uint16_t kHttpsPort = 443;
constexpr std::chrono::seconds kTimeout{30};

// Entries of one request, and whose they are.
struct Request {
  std::string_view destination;
  std::vector<std::size_t> records;
  json::array entries;
  std::size_t bytes = 0;
};

std::string text_of(const json::object& object, std::string_view name) {
  const json::value* value = find_member(object, name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// AWS says so with 400.
bool is_throttled(std::string_view code) {
  return code.find("Throttl") != std::string_view::npos ||
         code.find("ThroughputExceeded") != std::string_view::npos ||
         code.find("ServiceUnavailable") != std::string_view::npos ||
         code.find("InternalFailure") != std::string_view::npos ||
         code.find("InternalError") != std::string_view::npos;
}

Outcome outcome_of_entry(const AwsService& service, const json::object& result, bool is_sender) {
  const std::string code = text_of(result, service.results.empty() ? "Code" : "ErrorCode");
  const std::string message = text_of(result, service.results.empty() ? "Message" : "ErrorMessage");
  std::string reason = fmt::format("{}: {} {}", service.name, code, message);
  return is_sender && !is_throttled(code) ? Outcome::permanent(std::move(reason))
                                          : Outcome::retry(std::move(reason));
}

class AwsServiceSink final : public Sink {
 public:
  AwsServiceSink(
      const AwsService& service, TargetRef target, const Targets& targets, const Clock& clock
  )
      : service_(service), target_(std::move(target)), targets_(targets), clock_(clock) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    if (const Status open = ensure_open(); !open) {
      std::ranges::fill(outcomes, actions::outcome_of(open.error(), service_.name));
      return;
    }
    Outcome outcome;
    for (Request& request : requests_of(batch, outcomes)) {
      // What is behind one that has to come again waits, so that the order is kept.
      if (outcome.kind != Outcome::Kind::kRetry) {
        outcome = send(request, outcomes);
      }
      if (outcome.kind != Outcome::Kind::kDelivered) {
        for (const std::size_t i : request.records) {
          outcomes[i] = outcome;
        }
      }
    }
  }

  // Whether it takes us is for the next record to find out; this opens the secrets again.
  Status probe() override {
    connection_.reset();
    return ensure_open();
  }

 private:
  Status ensure_open() {
    if (connection_) {
      return {};
    }
    IOTCORE_ASSIGN(options_, open_target(*target_, targets_, read_aws));
    if (options_->http) {
      IOTCORE_ASSIGN(net::HttpServer server, load_server(*options_->http));
      connection_.emplace(std::move(server));
      return {};
    }
    HttpOptions own;
    own.server.host = fmt::format("{}.{}.amazonaws.com", service_.name, options_->signing.region);
    own.server.port = kHttpsPort;
    own.server.tls = true;
    own.timeout = kTimeout;
    IOTCORE_ASSIGN(net::HttpServer server, load_server(own));
    connection_.emplace(std::move(server));
    options_->http = std::move(own);
    return {};
  }

  std::vector<Request> requests_of(
      std::span<const Record* const> batch, std::span<Outcome> outcomes
  ) const {
    std::vector<Request> requests;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Result<json::object> entry = service_.entry_of(*batch[i], std::to_string(i));
      if (!entry) {
        outcomes[i] = Outcome::permanent(entry.error().message());
        continue;
      }
      const std::string_view destination = service_.destination_of(*batch[i]);
      const std::size_t bytes = to_json(*entry).size();
      // The last one for that destination, so that records stay in order.
      auto found = std::find_if(requests.rbegin(), requests.rend(), [&](const Request& each) {
        return each.destination == destination;
      });
      const bool fits = found != requests.rend() && found->entries.size() < service_.entries_max &&
                        found->bytes + bytes <= service_.bytes_max;
      Request& request = fits ? *found : requests.emplace_back(Request{destination, {}, {}, 0});
      request.records.push_back(i);
      request.entries.push_back(*std::move(entry));
      request.bytes += bytes;
    }
    return requests;
  }

  // Of the request; entries that it did not take are told in `outcomes`.
  Outcome send(Request& made, std::span<Outcome> outcomes) {
    json::object body;
    body[service_.destination] = made.destination;
    body[service_.entries] = std::move(made.entries);
    net::HttpRequest request;
    request.method = "POST";
    request.target = options_->http->path + "/";
    request.headers.add("Host", net::host_header(connection_->server()));
    request.headers.add("Content-Type", std::string(service_.content_type));
    request.headers.add("X-Amz-Target", std::string(service_.operation));
    request.body = to_json(json::value(std::move(body)));
    net::sign(
        request,
        options_->signing.credentials,
        {options_->signing.region, std::string(service_.name)},
        clock_.wall()
    );
    const Result<net::HttpResponse> response =
        connection_->call(std::move(request), options_->http->timeout);
    if (!response) {
      return actions::outcome_of(response.error(), service_.name);
    }
    const Result<json::value> answer = parse_json(response->body);
    const json::object* object = answer ? answer->if_object() : nullptr;
    if (response->status / 100 != 2) {
      const bool again = object != nullptr && is_throttled(text_of(*object, "__type"));
      Outcome outcome = actions::outcome_of(*response, service_.name);
      return again ? Outcome::retry(std::move(outcome.reason)) : outcome;
    }
    if (object == nullptr) {
      return Outcome::retry(fmt::format("{}: the answer is not JSON", service_.name));
    }
    read_results(*object, made, outcomes);
    return {};
  }

  void read_results(const json::object& answer, const Request& made, std::span<Outcome> outcomes)
      const {
    const bool by_id = service_.results.empty();
    const json::value* list = find_member(answer, by_id ? "Failed" : service_.results);
    if (list == nullptr || !list->is_array()) {
      return;
    }
    const json::array& results = list->get_array();
    for (std::size_t i = 0; i < results.size(); ++i) {
      const json::object* result = results[i].if_object();
      if (result == nullptr || (!by_id && text_of(*result, "ErrorCode").empty())) {
        continue;
      }
      std::size_t record = by_id || i >= made.records.size() ? outcomes.size() : made.records[i];
      if (by_id) {
        const std::string id = text_of(*result, "Id");
        std::from_chars(id.data(), id.data() + id.size(), record);
      }
      if (record < outcomes.size()) {
        const json::value* fault = find_member(*result, "SenderFault");
        const bool is_sender = fault != nullptr && fault->is_bool() && fault->get_bool();
        outcomes[record] = outcome_of_entry(service_, *result, is_sender);
      }
    }
  }

  const AwsService& service_;
  const TargetRef target_;
  const Targets& targets_;
  const Clock& clock_;
  std::optional<AwsOptions> options_;
  std::optional<net::HttpConnection> connection_;
};

}  // namespace

AwsOptions read_aws(MemberReader& members) {
  AwsOptions options;
  options.signing = read_signing(members);
  if (members.has("endpoint")) {
    options.http = read_http(members);
  }
  return options;
}

Result<std::unique_ptr<Sink>> make_aws_service_sink(
    const AwsService& service, const TargetRef& target, const SinkEnvironment& environment
) {
  return std::make_unique<AwsServiceSink>(
      service, target, *environment.targets, clock_of(environment)
  );
}

}  // namespace iotcore::rules::actions
