#pragma once

#include "base/result.h"
#include "net/client_channel.h"

#include <cstddef>

struct sockaddr;

namespace iotcore::net {

// For libraries that connect by themselves and ask how: begins to connect the socket, which does not block, if `admits` has nothing against the address.
// What admits() says, or kUnavailable.
Status begin_to_connect(
    const AddressRule& admits, int socket, const sockaddr* address, std::size_t address_bytes
);

}  // namespace iotcore::net
