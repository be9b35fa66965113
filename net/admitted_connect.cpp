#include "net/admitted_connect.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>

namespace iotcore::net {

Status begin_to_connect(
    const AddressRule& admits, int socket, const sockaddr* address, std::size_t address_bytes
) {
  sockaddr_storage copy = {};
  std::memcpy(&copy, address, std::min(address_bytes, sizeof copy));
  IOTCORE_TRY(admits(peer_address(copy).ip));
  if (::connect(socket, address, static_cast<socklen_t>(address_bytes)) == 0 ||
      errno == EINPROGRESS) {
    return {};
  }
  return fail(Errc::kUnavailable, std::strerror(errno));
}

}  // namespace iotcore::net
