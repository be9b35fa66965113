#pragma once

#include "tests/conformance/world.h"

#include <memory>

namespace iotcore::conformance {

// MQTT in WebSocket frames over that wire, in frames that are not aligned with packets on purpose (MQTT-6.0.0-2). Throws when the upgrade is refused.
std::unique_ptr<Wire> upgrade_to_websocket(std::unique_ptr<Wire> wire);

}  // namespace iotcore::conformance
