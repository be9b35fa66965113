#pragma once

#include <string_view>

namespace iotcore::registry::policy {

// Whether an address is in a range, "198.51.100.0/24", or is that one address, without "/". IPv4
// and IPv6 never meet.
bool ip_in_range(std::string_view address, std::string_view range);

}  // namespace iotcore::registry::policy
