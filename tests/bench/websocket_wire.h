#pragma once

#include "tests/bench/mqtt_wire.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

// The client's side of WebSocket (RFC 6455) as far as MQTT needs it. Apart from the server's, as the codec of mqtt_wire.h.
namespace iotcore::bench {

inline std::string upgrade_request(std::string_view host) {
  std::string request = "GET /mqtt HTTP/1.1\r\nHost: ";
  request += host;
  request +=
      "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: aW90Y29yZSBsb2FkIGdlbg==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
  return request;
}

// Each packet in a masked binary frame of its own, as clients send them. `packets` are whole.
inline void append_masked_frames(std::string& out, std::string_view packets) {
  constexpr std::array<std::uint8_t, 8> kMask = {0x37, 0xFA, 0x21, 0x3D, 0x37, 0xFA, 0x21, 0x3D};
  const auto* at = as_octets(packets);
  const auto* const end = at + packets.size();
  FrameView packet;
  while (at < end && next_frame(at, end, packet) == Framing::kWhole) {
    const std::size_t size = packet.size_bytes;
    out += '\x82';
    if (size < 126) {
      out += static_cast<char>(0x80 | size);
    } else if (size <= 0xFFFF) {
      out += static_cast<char>(0x80 | 126);
      put_u16(out, size);
    } else {
      out += static_cast<char>(0x80 | 127);
      put_u16(out, 0);
      put_u16(out, 0);
      put_u16(out, size >> 16);
      put_u16(out, size & 0xFFFF);
    }
    out.append(reinterpret_cast<const char*>(kMask.data()), 4);
    const std::size_t begin = out.size();
    out.resize(begin + size);
    char* to = out.data() + begin;
    std::size_t i = 0;
    std::uint64_t mask = 0;
    std::memcpy(&mask, kMask.data(), sizeof(mask));
    for (; i + 8 <= size; i += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, at + i, sizeof(word));
      word ^= mask;
      std::memcpy(to + i, &word, sizeof(word));
    }
    for (; i < size; ++i) {
      to[i] = static_cast<char>(at[i] ^ kMask[i % 8]);
    }
    at += size;
  }
}

// Takes a server's frames, which are not masked, away from around their data.
class FrameStripper {
 public:
  // In place: moves the data to the front and returns how much that is; -1 after a close frame or what no server may send.
  std::ptrdiff_t strip(std::uint8_t* bytes, std::size_t size) {
    std::uint8_t* to = bytes;
    const std::uint8_t* at = bytes;
    const std::uint8_t* const end = bytes + size;
    while (at < end) {
      if (left_ > 0) {
        const auto now = std::min<std::size_t>(left_, static_cast<std::size_t>(end - at));
        if (is_data_) {
          std::memmove(to, at, now);
          to += now;
        }
        at += now;
        left_ -= now;
        continue;
      }
      head_[head_size_++] = *at++;
      if (head_size_ == wanted() && !on_head()) {
        return -1;
      }
    }
    return to - bytes;
  }

 private:
  std::size_t wanted() const {
    const std::size_t length = head_size_ < 2 ? 0 : head_[1] & 0x7F;
    return length == 127 ? 10 : length == 126 ? 4 : 2;
  }

  bool on_head() {
    left_ = head_[1] & 0x7F;
    if (left_ >= 126) {
      left_ = 0;
      for (std::size_t i = 2; i < head_size_; ++i) {
        left_ = left_ << 8 | head_[i];
      }
    }
    head_size_ = 0;
    const int opcode = head_[0] & 0x0F;
    is_data_ = opcode == 0 || opcode == 2;
    return (head_[1] & 0x80) == 0 && opcode != 8;
  }

  std::array<std::uint8_t, 10> head_ = {};
  std::size_t head_size_ = 0;
  std::size_t left_ = 0;
  bool is_data_ = false;
};

}  // namespace iotcore::bench
