#include "rules/actions/aws_calls.h"

#include "rules/actions/aws_sinks.h"
#include "rules/http_outcome.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

namespace iotcore::rules::actions {
namespace {

class AwsCallSink final : public Sink {
 public:
  AwsCallSink(const AwsApi& api, TargetRef target, const Targets& targets, const Clock& clock)
      : api_(api), connection_(api.endpoint, std::move(target), targets, clock) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    deliver_in_order(batch, outcomes, [this](const Record& record) { return deliver(record); });
  }

  // Whether it takes us is for the next record to find out; this opens the secrets again.
  Status probe() override {
    connection_.close();
    return connection_.ensure_open();
  }

 private:
  Outcome deliver(const Record& record) {
    Outcome outcome = send(record);
    if (outcome.kind == Outcome::Kind::kPermanent && api_.remedy_of != nullptr) {
      if (auto remedy = api_.remedy_of(record, outcome.reason)) {
        Outcome mended = aws_outcome_of(connection_.call(*std::move(remedy)), who());
        const bool is_there = mended.reason.find("AlreadyExists") != std::string::npos;
        return mended.kind == Outcome::Kind::kDelivered || is_there ? send(record) : mended;
      }
    }
    return outcome;
  }

  Outcome send(const Record& record) {
    Result<net::HttpRequest> request = api_.request_of(record);
    if (!request) {
      return Outcome::permanent(request.error().message());
    }
    const Result<net::HttpResponse> response = connection_.call(*std::move(request));
    Outcome outcome = aws_outcome_of(response, who());
    return outcome.kind == Outcome::Kind::kDelivered ? outcome_of_body(response->body) : outcome;
  }

  Outcome outcome_of_body(std::string_view body) const {
    if (api_.refusals.empty()) {
      return {};
    }
    const Result<json::value> answer = parse_json(body);
    const json::object* object = answer ? answer->if_object() : nullptr;
    const json::value* list = object == nullptr ? nullptr : find_member(*object, api_.refusals);
    if (list == nullptr || !list->is_array() || list->get_array().empty()) {
      return {};
    }
    std::string reason = fmt::format("{}: {}", who(), to_json(*list));
    return is_aws_throttled(reason) ? Outcome::retry(std::move(reason))
                                    : Outcome::permanent(std::move(reason));
  }

  std::string_view who() const { return connection_.service(); }

  const AwsApi& api_;
  AwsConnection connection_;
};

}  // namespace

Result<std::unique_ptr<Sink>> make_aws_call_sink(
    std::string_view kind,
    const AwsApi& api,
    const TargetRef& target,
    const SinkEnvironment& environment
) {
  if (target->kind != "aws") {
    return fail(
        Errc::kNotImplemented,
        fmt::format("{} has no way to targets of kind {}", kind, target->kind)
    );
  }
  return std::make_unique<AwsCallSink>(api, target, *environment.targets, clock_of(environment));
}

net::HttpRequest aws_query_request(
    std::initializer_list<std::pair<std::string_view, std::string_view>> parameters
) {
  net::HttpRequest request;
  request.headers.add("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
  for (const auto& [name, value] : parameters) {
    if (!value.empty()) {
      request.body += request.body.empty() ? "" : "&";
      request.body += fmt::format("{}={}", name, net::percent_encode(value));
    }
  }
  return request;
}

net::HttpRequest aws_rest_request(std::string path, const json::value& body) {
  net::HttpRequest request;
  request.target = std::move(path);
  request.headers.add("Content-Type", "application/json");
  request.body = to_json(body);
  return request;
}

std::string aws_time(std::int64_t epoch_ms) {
  constexpr std::int64_t kMsInS = 1000;
  std::int64_t seconds = epoch_ms / kMsInS;
  std::int64_t rest = epoch_ms % kMsInS;
  if (rest < 0) {
    --seconds;
    rest += kMsInS;
  }
  return fmt::format(
      "{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(static_cast<std::time_t>(seconds)), rest
  );
}

}  // namespace iotcore::rules::actions
