#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// What a device asks about its jobs over MQTT, and what it is told. Pure.
// https://docs.aws.amazon.com/iot/latest/developerguide/jobs-mqtt-api.html
namespace iotcore::fleet {

enum class JobOperation : std::uint8_t { kGetPending, kStartNext, kDescribe, kUpdate };

// The parts point into the topic.
struct JobTopicView {
  std::string_view thing;
  std::string_view job_id;  // of kDescribe, where it may be `$next`, and kUpdate
  JobOperation operation = JobOperation::kGetPending;
};

// Nothing: it is not a request about jobs.
std::optional<JobTopicView> parse_job_topic(std::string_view topic);

struct JobAnswer {
  std::string topic;  // the request's and `/accepted` or `/rejected`
  std::string payload;
};

// The answer of a server that has no jobs, which is all there are so far: nothing is pending, and whoever names a job is told that it does not exist.
// What is wrong with a request is said as always. `now_s`: since the epoch.
JobAnswer answer_job_request(
    const JobTopicView& request,
    std::string_view topic,
    std::string_view payload,
    std::int64_t now_s
);

}  // namespace iotcore::fleet
