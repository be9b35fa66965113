#include "broker/reserved_topics.h"

#include "broker/topic.h"

#include <algorithm>
#include <array>

namespace iotcore::broker {
namespace {

constexpr std::string_view kAws = "$aws/";

constexpr std::array kThingRequests = std::to_array<std::string_view>({
    "$aws/things/+/shadow/get",
    "$aws/things/+/shadow/update",
    "$aws/things/+/shadow/delete",
    "$aws/things/+/shadow/name/+/get",
    "$aws/things/+/shadow/name/+/update",
    "$aws/things/+/shadow/name/+/delete",
    "$aws/things/+/jobs/get",
    "$aws/things/+/jobs/start-next",
    "$aws/things/+/jobs/+/get",
    "$aws/things/+/jobs/+/update",
    "$aws/things/+/defender/metrics/+",
    "$aws/things/+/streams/+/get/+",
    "$aws/things/+/streams/+/describe/+",
});

constexpr std::array kOtherRequests = std::to_array<std::string_view>({
    "$aws/rules/+/#",
    "$aws/commands/+/+/executions/+/response/+",
    "$aws/certificates/create/+",
    "$aws/certificates/create-from-csr/+",
    "$aws/provisioning-templates/+/provision/+",
    "$aws/device_location/+/get_position_estimate",
});

constexpr std::array kSubscribable = std::to_array<std::string_view>({
    "things",
    "commands",
    "certificates",
    "provisioning-templates",
    "device_location",
    "sitewise",
    "events",
    "+",
    "#",
});

template <typename Patterns>
bool any_matches(const Patterns& patterns, std::string_view topic) {
  return std::any_of(patterns.begin(), patterns.end(), [&](std::string_view pattern) {
    return topic_matches(pattern, topic);
  });
}

}  // namespace

bool client_may_publish(std::string_view topic) {
  if (!topic.starts_with('$')) {
    return true;
  }
  return topic.starts_with("$aws/things/") ? any_matches(kThingRequests, topic)
                                           : any_matches(kOtherRequests, topic);
}

bool is_foreign_topic(std::string_view topic) {
  return topic.starts_with('$') && !topic.starts_with(kAws) && !topic.starts_with("$share/");
}

bool client_may_subscribe(std::string_view filter, bool sys_topics) {
  if (!filter.starts_with('$')) {
    return true;
  }
  if (sys_topics && filter.starts_with("$SYS/")) {
    return true;
  }
  if (filter.starts_with("$iotcore/")) {
    return true;  // what actions of rules tell: alarms, inputs, notifications
  }
  if (!filter.starts_with(kAws)) {
    return false;
  }
  const std::string_view rest = filter.substr(kAws.size());
  const std::string_view space = rest.substr(0, rest.find('/'));
  return std::find(kSubscribable.begin(), kSubscribable.end(), space) != kSubscribable.end();
}

BasicIngestTopic basic_ingest_topic(std::string_view topic) {
  constexpr std::string_view kRules = "$aws/rules/";
  if (!topic.starts_with(kRules)) {
    return {};
  }
  const std::string_view rest = topic.substr(kRules.size());
  const std::size_t slash = rest.find('/');
  BasicIngestTopic result;
  result.rule = rest.substr(0, slash);
  if (slash != std::string_view::npos) {
    result.topic = rest.substr(slash + 1);
  }
  return result;
}

}  // namespace iotcore::broker
