#include "rules/error_payload.h"

#include "base/crypto.h"
#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace iotcore::rules {
namespace {

void append_member(std::string& out, std::string_view name, std::string_view text) {
  out += ",\"";
  out += name;
  out += "\":";
  append_json_string(out, text);
}

void append_metadata(std::string& out, const record::OutboxMessage& message) {
  append_member(out, "cloudwatchTraceId", message.trace_id());
  append_member(out, "clientId", message.has_client_id() ? message.client_id() : "N/A");
  append_member(out, "sourceIp", message.source_ip());
  append_member(out, "base64OriginalPayload", to_base64(message.payload()));
}

void append_failure(std::string& out, const record::ActionFailure& failure) {
  out += "{\"failedAction\":";
  append_json_string(out, failure.action());
  append_member(out, "failedResource", failure.resource());
  append_member(out, "errorMessage", failure.message());
}

bool has(const FailedMessage& failed, record::ActionFailure::Batching batching) {
  return std::ranges::any_of(failed.failures, [&](const record::ActionFailure& failure) {
    return failure.batching() == batching;
  });
}

// A failure, and the messages that it concerns, counted from 1.
struct Affecting {
  const record::ActionFailure* failure;
  std::vector<std::size_t> ids;
};

std::vector<Affecting> gathered(std::span<const FailedMessage> failed) {
  std::vector<Affecting> all;
  for (std::size_t i = 0; i < failed.size(); ++i) {
    for (const record::ActionFailure& failure : failed[i].failures) {
      auto same = std::ranges::find_if(all, [&](const Affecting& each) {
        return each.failure->action() == failure.action() &&
               each.failure->resource() == failure.resource() &&
               each.failure->message() == failure.message();
      });
      if (same == all.end()) {
        same = all.insert(all.end(), {&failure, {}});
      }
      same->ids.push_back(i + 1);
    }
  }
  return all;
}

std::string in_batch_form(
    const std::string& rule, std::span<const FailedMessage> failed, bool across_topics
) {
  std::string out = "{\"ruleName\":";
  append_json_string(out, rule);
  if (!across_topics) {
    append_member(out, "topic", failed.front().message.topic());
  }
  out += ",\"payloadsWithMetadata\":[";
  for (std::size_t i = 0; i < failed.size(); ++i) {
    out += fmt::format("{}{{\"id\":{}", i == 0 ? "" : ",", i + 1);
    if (across_topics) {
      append_member(out, "topic", failed[i].message.topic());
    }
    append_metadata(out, failed[i].message);
    out += '}';
  }
  out += "],\"failures\":[";
  bool is_first = true;
  for (const Affecting& each : gathered(failed)) {
    out += std::exchange(is_first, false) ? "" : ",";
    append_failure(out, *each.failure);
    out += fmt::format(",\"affectedIds\":[{}]}}", fmt::join(each.ids, ","));
  }
  return out + "]}";
}

}  // namespace

std::string error_payload(const std::string& rule, std::span<const FailedMessage> failed) {
  const auto any = [&](record::ActionFailure::Batching batching) {
    return std::ranges::any_of(failed, [&](const FailedMessage& each) {
      return has(each, batching);
    });
  };
  const bool across_topics = any(record::ActionFailure::ACROSS_TOPICS);
  if (across_topics || any(record::ActionFailure::BY_TOPIC)) {
    return in_batch_form(rule, failed, across_topics);
  }
  const FailedMessage& one = failed.front();
  std::string out = "{\"ruleName\":";
  append_json_string(out, rule);
  append_member(out, "topic", one.message.topic());
  append_metadata(out, one.message);
  out += ",\"failures\":[";
  for (std::size_t i = 0; i < one.failures.size(); ++i) {
    out += i == 0 ? "" : ",";
    append_failure(out, one.failures[i]);
    out += '}';
  }
  return out + "]}";
}

}  // namespace iotcore::rules
