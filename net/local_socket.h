#pragma once

#include "base/result.h"
#include "net/socket.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

// Sockets between processes of one machine.
namespace iotcore::net {

// Two ends of a channel that keeps messages apart (SOCK_SEQPACKET); both close on exec, the first does not block.
Result<std::pair<UniqueFd, UniqueFd>> make_local_channel();

// One message, with a descriptor if it is not negative. False: the other end is gone, or reads too slowly.
bool send_local(int channel, std::string_view text, int descriptor = -1);

struct LocalMessage {
  enum class Status : std::uint8_t { kMessage, kNothing, kEnd };

  Status status = Status::kNothing;  // kNothing: for now; kEnd: the other end is gone
  std::string text;
  UniqueFd descriptor;
};

LocalMessage receive_local(int channel);

// A connection that waits at the listener; nothing if there is none.
UniqueFd accept_local(int listener);

// Whose process is at the other end of a connection over this machine's loopback (IPv4). Nothing: that cannot be said, here or at all.
std::optional<std::uint32_t> loopback_peer_user(int connection);

// In a network namespace of its own, where even the loopback is down at first.
bool bring_loopback_up();

}  // namespace iotcore::net
