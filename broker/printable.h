#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace iotcore::broker {

// What a client wrote, as a line that may go to an operator's terminal: control characters, which could be commands to it, are shown as `\x1b`. What is beyond
// `bytes_max` is cut off at a character and `...` put in its place. `text` is UTF-8. Pure.
std::string printable(std::string_view text, std::size_t bytes_max);

}  // namespace iotcore::broker
