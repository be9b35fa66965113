#include "fleet/job_request.h"

#include "base/json.h"
#include "base/result.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstddef>

namespace iotcore::fleet {
namespace {

constexpr std::string_view kThings = "$aws/things/";
constexpr std::string_view kJobs = "/jobs/";
constexpr std::string_view kNext = "$next";
constexpr std::size_t kJobIdMax = 64;
constexpr std::size_t kClientTokenMax = 64;
constexpr std::size_t kDetailNameMax = 128;
constexpr std::size_t kDetailValueMax = 1024;
constexpr std::int64_t kStepTimeoutMinutesMax = 10'080;
constexpr std::int64_t kNoStepTimeout = -1;
constexpr JsonLimits kLimits = {.bytes_max = 128U << 10, .depth_max = 8};

// What a device may make of its execution.
constexpr std::array kSettable =
    std::to_array<std::string_view>({"IN_PROGRESS", "FAILED", "SUCCEEDED", "REJECTED"});

// Why a request is rejected: the code as AWS spells it.
struct Rejection {
  std::string_view code;
  std::string message;
};

using Checked = std::optional<Rejection>;

Rejection invalid(std::string message) {
  return {"InvalidRequest", std::move(message)};
}

bool is_name(std::string_view text, std::size_t size_max, std::string_view also) {
  return !text.empty() && text.size() <= size_max &&
         std::all_of(text.begin(), text.end(), [also](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                  also.find(c) != std::string_view::npos;
         });
}

Checked check_flag(const json::object& body, std::string_view name) {
  const json::value* value = find_member(body, name);
  if (value != nullptr && !value->is_bool()) {
    return invalid(std::string(name) + " must be true or false");
  }
  return {};
}

Checked check_whole(
    const json::object& body, std::string_view name, std::int64_t min, std::int64_t max
) {
  const json::value* value = find_member(body, name);
  if (value == nullptr) {
    return {};
  }
  if (!value->is_int64() || value->get_int64() < min || value->get_int64() > max) {
    return invalid(
        std::string(name) + " must be a whole number from " + std::to_string(min) + " to " +
        std::to_string(max)
    );
  }
  return {};
}

// AWS's examples have it as a number and as a text.
Checked check_version(const json::object& body) {
  const json::value* value = find_member(body, "expectedVersion");
  if (value == nullptr || !value->is_string()) {
    return check_whole(body, "expectedVersion", 0, INT64_MAX);
  }
  const std::string_view text = value->get_string();
  std::int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) {
    return invalid("expectedVersion must be a whole number");
  }
  return {};
}

Checked check_step_timeout(const json::object& body) {
  const json::value* value = find_member(body, "stepTimeoutInMinutes");
  if (value != nullptr && value->is_int64() && value->get_int64() == kNoStepTimeout) {
    return {};
  }
  return check_whole(body, "stepTimeoutInMinutes", 1, kStepTimeoutMinutesMax);
}

Checked check_details(const json::object& body) {
  const json::value* details = find_member(body, "statusDetails");
  if (details == nullptr || details->is_null()) {
    return {};
  }
  if (!details->is_object()) {
    return invalid("statusDetails must be an object");
  }
  for (const auto& [name, value] : details->get_object()) {
    if (!is_name(name, kDetailNameMax, ":_-")) {
      return invalid("the names in statusDetails are 1 to 128 of a-z, A-Z, 0-9, ':', '_' and '-'");
    }
    if (!value.is_string() || value.get_string().empty() ||
        value.get_string().size() > kDetailValueMax) {
      return invalid("the values in statusDetails are texts of 1 to 1024 bytes");
    }
  }
  return {};
}

Checked check_status(const json::object& body) {
  const json::value* status = find_member(body, "status");
  if (status == nullptr || !status->is_string()) {
    return invalid("status is missing");
  }
  const std::string_view name = status->get_string();
  if (std::find(kSettable.begin(), kSettable.end(), name) == kSettable.end()) {
    return invalid("status must be IN_PROGRESS, FAILED, SUCCEEDED or REJECTED");
  }
  return {};
}

template <typename... Checks>
Checked first_of(const json::object& body, Checks... checks) {
  Checked found;
  (void)((found = checks(body)) || ...);
  return found;
}

Checked check_fields(JobOperation operation, const json::object& body) {
  const auto flag = [](std::string_view name) {
    return [name](const json::object& from) { return check_flag(from, name); };
  };
  const auto execution_number = [](const json::object& from) {
    return check_whole(from, "executionNumber", 0, INT64_MAX);
  };
  switch (operation) {
    case JobOperation::kGetPending:
      return {};
    case JobOperation::kStartNext:
      return first_of(body, check_details, check_step_timeout);
    case JobOperation::kDescribe:
      return first_of(body, execution_number, flag("includeJobDocument"));
    case JobOperation::kUpdate:
      return first_of(
          body,
          check_status,
          check_details,
          check_version,
          execution_number,
          check_step_timeout,
          flag("includeJobExecutionState"),
          flag("includeJobDocument")
      );
  }
  return {};
}

Checked check_job(const JobTopicView& request) {
  const bool names_one =
      request.operation == JobOperation::kDescribe || request.operation == JobOperation::kUpdate;
  if (!names_one || (request.operation == JobOperation::kDescribe && request.job_id == kNext)) {
    return {};
  }
  if (!is_name(request.job_id, kJobIdMax, "_-")) {
    return invalid("a job's id is 1 to 64 of a-z, A-Z, 0-9, '_' and '-'");
  }
  return Rejection{
      "ResourceNotFound",
      "there is no execution of job " + std::string(request.job_id) + " for thing " +
          std::string(request.thing)};
}

// The client's token is in the answer to what is wrong otherwise, too.
Checked read_token(const json::object& body, json::object& answer) {
  const json::value* token = find_member(body, "clientToken");
  if (token == nullptr) {
    return {};
  }
  if (!token->is_string() || token->get_string().size() > kClientTokenMax) {
    return invalid("clientToken must be a text of at most 64 bytes");
  }
  answer["clientToken"] = token->get_string();
  return {};
}

Checked check(const JobTopicView& request, std::string_view payload, json::object& answer) {
  json::object body;
  if (!payload.empty()) {
    const Result<json::value> value = parse_json(payload, kLimits);
    if (!value || !value->is_object()) {
      return Rejection{
          "InvalidJson", value ? "the request must be a JSON object" : value.error().message()};
    }
    body = value->get_object();
  }
  Checked found = read_token(body, answer);
  if (!found) {
    found = check_fields(request.operation, body);
  }
  return found ? found : check_job(request);
}

}  // namespace

std::optional<JobTopicView> parse_job_topic(std::string_view topic) {
  if (!topic.starts_with(kThings)) {
    return std::nullopt;
  }
  topic.remove_prefix(kThings.size());
  const std::size_t slash = topic.find('/');
  if (slash == 0 || slash == std::string_view::npos || !topic.substr(slash).starts_with(kJobs)) {
    return std::nullopt;
  }
  JobTopicView found;
  found.thing = topic.substr(0, slash);
  topic.remove_prefix(slash + kJobs.size());
  const std::size_t last = topic.find('/');
  if (last == std::string_view::npos) {
    found.operation = topic == "get" ? JobOperation::kGetPending : JobOperation::kStartNext;
    return topic == "get" || topic == "start-next" ? std::optional(found) : std::nullopt;
  }
  found.job_id = topic.substr(0, last);
  topic.remove_prefix(last + 1);
  found.operation = topic == "get" ? JobOperation::kDescribe : JobOperation::kUpdate;
  return topic == "get" || topic == "update" ? std::optional(found) : std::nullopt;
}

JobAnswer answer_job_request(
    const JobTopicView& request,
    std::string_view topic,
    std::string_view payload,
    std::int64_t now_s
) {
  json::object answer;
  const Checked rejection = check(request, payload, answer);
  answer["timestamp"] = now_s;
  if (rejection) {
    answer["code"] = rejection->code;
    answer["message"] = rejection->message;
  } else if (request.operation == JobOperation::kGetPending) {
    answer["inProgressJobs"] = json::array();
    answer["queuedJobs"] = json::array();
  }
  return {std::string(topic) + (rejection ? "/rejected" : "/accepted"), to_json(answer)};
}

}  // namespace iotcore::fleet
