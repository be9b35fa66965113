#pragma once

#include <string_view>

namespace iotcore::broker {

// The topics under `$` that clients may use (mqtt.md 9). True for every topic or filter that does not begin with `$`; what policies say
// comes on top.
bool client_may_publish(std::string_view topic);
// Begins with `$`, and is neither one of AWS's nor a shared subscription.
bool is_foreign_topic(std::string_view topic);
// `filter` without $share/name/. `sys_topics`: whether there is `$SYS/…`.
bool client_may_subscribe(std::string_view filter, bool sys_topics = false);

// `$aws/rules/<rule>[/<topic>]`: the names of rule and topic, or an empty rule.
struct BasicIngestTopic {
  std::string_view rule;
  std::string_view topic;
};

BasicIngestTopic basic_ingest_topic(std::string_view topic);

}  // namespace iotcore::broker
