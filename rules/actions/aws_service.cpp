#include "rules/actions/aws_service.h"

#include "rules/actions/aws_connection.h"
#include "rules/actions/aws_sinks.h"
#include "rules/http_outcome.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

namespace iotcore::rules::actions {
namespace {

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

Outcome outcome_of_entry(const AwsService& service, const json::object& result, bool is_sender) {
  const std::string code = text_of(result, service.results.empty() ? "Code" : "ErrorCode");
  const std::string message = text_of(result, service.results.empty() ? "Message" : "ErrorMessage");
  std::string reason = fmt::format("{}: {} {}", service.name, code, message);
  return is_sender && !is_aws_throttled(code) ? Outcome::permanent(std::move(reason))
                                              : Outcome::retry(std::move(reason));
}

class AwsServiceSink final : public Sink {
 public:
  AwsServiceSink(
      const AwsService& service, TargetRef target, const Targets& targets, const Clock& clock
  )
      : service_(service),
        connection_({service.name, service.name}, std::move(target), targets, clock) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    if (const Status open = connection_.ensure_open(); !open) {
      std::ranges::fill(outcomes, rules::outcome_of(open.error(), service_.name));
      return;
    }
    Outcome outcome;
    for (Request& request : requests_of(batch, outcomes)) {
      // What is behind one that has to come again waits, so that the order is kept.
      outcome = outcome.kind == Outcome::Kind::kRetry ? Outcome::behind(outcome)
                                                      : send(request, outcomes);
      if (outcome.kind != Outcome::Kind::kDelivered) {
        for (const std::size_t i : request.records) {
          outcomes[i] = outcome;
        }
      }
    }
  }

  // Whether it takes us is for the next record to find out; this opens the secrets again.
  Status probe() override {
    connection_.close();
    return connection_.ensure_open();
  }

 private:
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
    const Result<net::HttpResponse> response =
        connection_.call(aws_json_request(service_.operation, service_.version, body));
    Outcome outcome = aws_outcome_of(response, service_.name);
    if (outcome.kind != Outcome::Kind::kDelivered) {
      return outcome;
    }
    const Result<json::value> answer = parse_json(response->body);
    const json::object* object = answer ? answer->if_object() : nullptr;
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
  AwsConnection connection_;
};

}  // namespace

Result<std::unique_ptr<Sink>> make_aws_service_sink(
    const AwsService& service, const TargetRef& target, const SinkEnvironment& environment
) {
  return std::make_unique<AwsServiceSink>(
      service, target, *environment.targets, clock_of(environment)
  );
}

}  // namespace iotcore::rules::actions
