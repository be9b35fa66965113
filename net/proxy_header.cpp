#include "net/proxy_header.h"

#include "base/bytes.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>

namespace iotcore::net {
namespace {

constexpr std::string_view kSignature("\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A", 12);
constexpr std::uint8_t kVersion2 = 0x20;
constexpr std::uint8_t kLocal = 0x20;
constexpr std::uint8_t kProxy = 0x21;
constexpr std::uint8_t kTcp4 = 0x11;
constexpr std::uint8_t kTcp6 = 0x21;
// Source and destination, each with its port.
constexpr std::size_t kTcp4Bytes = 12;
constexpr std::size_t kTcp6Bytes = 36;
// Addresses of local sockets.
constexpr std::size_t kUnixBytes = 216;
// What may follow the addresses has a type, two bytes of length, and a value.
constexpr std::uint8_t kChecksumType = 3;
constexpr std::size_t kChecksumBytes = 4;

tl::unexpected<Error> malformed(const char* why) {
  return fail(Errc::kMalformedPacket, std::string("PROXY header: ") + why);
}

template <typename Address>
sockaddr_storage stored(const Address& address) {
  sockaddr_storage out = {};
  std::memcpy(&out, &address, sizeof address);
  return out;
}

PeerAddress tcp4_source(std::string_view addresses) {
  sockaddr_in source = {};
  source.sin_family = AF_INET;
  std::memcpy(&source.sin_addr, addresses.data(), 4);
  std::memcpy(&source.sin_port, addresses.data() + 8, 2);
  return peer_address(stored(source));
}

PeerAddress tcp6_source(std::string_view addresses) {
  sockaddr_in6 source = {};
  source.sin6_family = AF_INET6;
  std::memcpy(&source.sin6_addr, addresses.data(), 16);
  std::memcpy(&source.sin6_port, addresses.data() + 32, 2);
  return peer_address(stored(source));
}

// CRC-32C, bit by bit: a header is short, and comes once a connection.
std::uint32_t crc32c(std::uint32_t crc, std::string_view bytes) {
  constexpr std::uint32_t kPolynomial = 0x82F63B78;
  for (const char byte : bytes) {
    crc ^= static_cast<std::uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? kPolynomial : 0);
    }
  }
  return crc;
}

// How many bytes of addresses a connection of that family and protocol has.
std::size_t address_bytes_of(std::uint8_t family) {
  switch (family >> 4U) {
    case 1:
      return kTcp4Bytes;
    case 2:
      return kTcp6Bytes;
    case 3:
      return kUnixBytes;
    default:
      return 0;  // unspecified: nothing can be told apart in what follows
  }
}

}  // namespace

Status ProxyHeaderDecoder::put(std::string_view bytes) {
  const bool fixed_part = bytes_.size() < kFixedBytes;
  bytes_.append(bytes.substr(0, wanted()));
  // Who speaks something else is told apart by its first byte, not after a wait for the sixteenth.
  const std::size_t known = std::min(bytes_.size(), kSignature.size());
  if (fixed_part && bytes_.compare(0, known, kSignature, 0, known) != 0) {
    return malformed("another protocol, or version 1");
  }
  if (fixed_part && bytes_.size() == kFixedBytes) {
    IOTCORE_TRY(on_fixed_part());
  }
  return wanted() == 0 ? on_whole() : Status();
}

Status ProxyHeaderDecoder::on_fixed_part() {
  ByteReader reader(std::string_view(bytes_).substr(kSignature.size()));
  const std::uint8_t command = reader.u8();
  reader.u8();
  const std::size_t variable_bytes = reader.u16();
  if ((command & 0xF0) != kVersion2) {
    return malformed("not version 2");
  }
  if (command != kLocal && command != kProxy) {
    return malformed("an unknown command");
  }
  if (variable_bytes > kVariableBytesMax) {
    return malformed("too long");
  }
  header_bytes_ = kFixedBytes + variable_bytes;
  return {};
}

Status ProxyHeaderDecoder::on_whole() {
  ByteReader reader(std::string_view(bytes_).substr(kSignature.size()));
  const std::uint8_t command = reader.u8();
  const std::uint8_t family = reader.u8();
  const std::string_view addresses = std::string_view(bytes_).substr(kFixedBytes);
  // LOCAL connections and other families may leave their addresses out, whatever the byte says.
  if (const std::size_t bytes = address_bytes_of(family); bytes != 0 && bytes <= addresses.size()) {
    IOTCORE_TRY(check_additions(bytes));
  }
  if (command == kLocal) {
    return {};
  }
  // Other families (datagrams, local sockets, "unspecified") tell nothing that a policy could use.
  if (family == kTcp4) {
    if (addresses.size() < kTcp4Bytes) {
      return malformed("too short for IPv4 addresses");
    }
    source_ = tcp4_source(addresses);
  } else if (family == kTcp6) {
    if (addresses.size() < kTcp6Bytes) {
      return malformed("too short for IPv6 addresses");
    }
    source_ = tcp6_source(addresses);
  }
  return {};
}

Status ProxyHeaderDecoder::check_additions(std::size_t address_bytes) const {
  const std::string_view whole = bytes_;
  ByteReader reader(whole.substr(kFixedBytes + address_bytes));
  while (reader.remaining() > 0) {
    const std::uint8_t type = reader.u8();
    const std::string_view value = reader.bytes(reader.u16());
    if (!reader.ok()) {
      return malformed("an addition ends after the header");
    }
    if (type != kChecksumType) {
      continue;
    }
    if (value.size() != kChecksumBytes) {
      return malformed("a checksum of another length than four");
    }
    // Over the whole header, with zeros where the checksum is.
    const auto at = static_cast<std::size_t>(value.data() - whole.data());
    std::uint32_t crc = crc32c(0xFFFF'FFFF, whole.substr(0, at));
    crc = crc32c(crc, std::string_view("\0\0\0\0", kChecksumBytes));
    crc = ~crc32c(crc, whole.substr(at + kChecksumBytes));
    if (ByteReader(value).u32() != crc) {
      return malformed("the checksum is wrong");
    }
  }
  return {};
}

}  // namespace iotcore::net
