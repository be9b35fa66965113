#pragma once

#include "tests/conformance/packet.h"

#include <string>

namespace iotcore::conformance {

// What differs between a packet and what was expected; empty when it is as expected. A field that is not named counts as 0 or absent in a PUBLISH, as success in an
// acknowledgement, and is not looked at elsewhere. `*` is any value, `a|b` either, `a..b` a number between, `!key` absent.
std::string mismatch(const Packet& got, const std::string& type, const Fields& wanted);

}  // namespace iotcore::conformance
