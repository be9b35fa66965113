#pragma once

#include "base/result.h"
#include "net/socket.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::net {

// Reads the header of the PROXY protocol, version 2, by which a load balancer says whose connection it passes on. It stands before everything else, TLS
// included. Pure: never takes a byte that belongs to what follows.
class ProxyHeaderDecoder {
 public:
  static constexpr std::size_t kFixedBytes = 16;
  // Addresses and whatever the proxy adds to them; the standard's own additions take some hundred bytes.
  static constexpr std::size_t kVariableBytesMax = 4096;

  // How many bytes the header still needs, as far as is known; 0 when it is whole.
  std::size_t wanted() const { return header_bytes_ - bytes_.size(); }

  // Takes at most wanted() bytes. kMalformedPacket: not such a header; the connection is to be closed without a word.
  Status put(std::string_view bytes);

  // Of a whole header. Nothing: the proxy speaks for itself (a health check) or does not say, so the socket's own address stands.
  const std::optional<PeerAddress>& source() const { return source_; }

 private:
  Status on_fixed_part();
  Status on_whole();
  // What follows the addresses: a checksum that is there has to be right.
  Status check_additions(std::size_t address_bytes) const;

  std::string bytes_;
  std::size_t header_bytes_ = kFixedBytes;
  std::optional<PeerAddress> source_;
};

}  // namespace iotcore::net
