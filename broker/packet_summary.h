#pragma once

#include "broker/mqtt/packet.h"

#include <string>
#include <string_view>

namespace iotcore::broker {

// A packet in words, for who looks for a fault: what it is, and what it says without payloads, user names and passwords.
struct PacketSummary {
  std::string_view name;  // "PUBLISH"
  std::string detail;     // "topic=a/b qos=1 id=7 bytes=12"
};

PacketSummary summarize(const mqtt::PacketView& packet);

}  // namespace iotcore::broker
