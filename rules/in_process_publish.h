#pragma once

#include "broker/message.h"
#include "broker/workers.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

// Publishes for threads that may block: sinks whose target is this server's own broker. Messages of one topic stay in order.
//
// Waits until each is as durable as it has to be; false: it is not confirmed, and may or may not have been published.
std::vector<bool> publish_and_wait(
    broker::Workers& workers, std::span<const broker::Message::Ref> messages
);

// A message of the server's own at QoS 1.
broker::Message::Ref make_service_message(std::string_view topic, std::string_view payload);

}  // namespace iotcore::rules
