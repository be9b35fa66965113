#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace iotcore::gateway {

// What one face takes; 0 is no limit of its own.
struct FaceLimits {
  std::size_t connections_max = 0;  // others are turned away
  // New connections, and so handshakes, of all workers together. Those beyond wait in the kernel's queue, where they cost nothing.
  std::uint32_t accepts_per_s_max = 0;
  std::chrono::milliseconds handshake_timeout{30'000};  // from accept to the end of the handshake
  // From there to the first whole CONNECT or HTTP request head; 0: as GatewayLimits has it.
  std::chrono::milliseconds connect_timeout{0};
};

}  // namespace iotcore::gateway
