#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

// MQTT 3.1.1 and 5 on the wire, as far as the load generator and the relay need it. It shares
// nothing with the server's codec on purpose: a mistake made there must not be made here as well,
// and measured as correct.
namespace iotcore::bench {

// First bytes of the packets, flags included where the standard fixes them.
inline constexpr std::uint8_t kConnect = 0x10, kConnack = 0x20, kPublish = 0x30, kPuback = 0x40,
                              kPubrec = 0x50, kPubrel = 0x62, kPubcomp = 0x70, kSubscribe = 0x82,
                              kSuback = 0x90, kPingreq = 0xC0, kPingresp = 0xD0, kDisconnect = 0xE0;

inline std::uint16_t load_u16(const std::uint8_t* at) {
  return static_cast<std::uint16_t>(at[0] << 8 | at[1]);
}

inline void store_u16(std::uint8_t* at, std::uint16_t value) {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value & 0xFF);
}

inline const std::uint8_t* as_octets(std::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

// A variable byte integer at `at`, not reading at or beyond `end`. Bytes used: 0 means more are
// needed, -1 malformed.
inline int load_varint(const std::uint8_t* at, const std::uint8_t* end, std::uint32_t& value) {
  value = 0;
  for (int i = 0; i < 4; ++i) {
    if (at + i >= end) {
      return 0;
    }
    value |= static_cast<std::uint32_t>(at[i] & 0x7F) << (7 * i);
    if ((at[i] & 0x80) == 0) {
      return i + 1;
    }
  }
  return -1;
}

// One whole packet; points into the caller's bytes.
struct FrameView {
  const std::uint8_t* data = nullptr;
  std::uint32_t header_bytes = 0;
  std::uint32_t size_bytes = 0;

  std::uint8_t first() const { return data[0]; }

  // The packet's kind, as the constants above without their flags.
  std::uint8_t kind() const { return data[0] & 0xF0; }

  int qos() const { return data[0] >> 1 & 3; }

  std::span<const std::uint8_t> body() const { return {data + header_bytes, data + size_bytes}; }
};

enum class Framing { kWhole, kPartial, kMalformed };

inline Framing next_frame(const std::uint8_t* at, const std::uint8_t* end, FrameView& frame) {
  if (end - at < 2) {
    return Framing::kPartial;
  }
  std::uint32_t length = at[1];
  int used = 1;
  if ((length & 0x80) != 0) {
    used = load_varint(at + 1, end, length);
    if (used <= 0) {
      return used == 0 ? Framing::kPartial : Framing::kMalformed;
    }
  }
  frame.data = at;
  frame.header_bytes = static_cast<std::uint32_t>(1 + used);
  frame.size_bytes = frame.header_bytes + length;
  return static_cast<std::size_t>(end - at) < frame.size_bytes ? Framing::kPartial
                                                               : Framing::kWhole;
}

struct PublishView {
  std::uint16_t packet_id = 0;
  std::span<const std::uint8_t> payload;
};

// False: malformed.
inline bool read_publish(const FrameView& frame, int version, PublishView& out) {
  const std::uint8_t* at = frame.data + frame.header_bytes;
  const std::uint8_t* end = frame.data + frame.size_bytes;
  if (end - at < 2) {
    return false;
  }
  std::ptrdiff_t skip = 2 + load_u16(at);
  if (frame.qos() > 0) {
    skip += 2;
  }
  if (end - at < skip) {
    return false;
  }
  at += skip;
  if (frame.qos() > 0) {
    out.packet_id = load_u16(at - 2);
  }
  if (version == 5) {
    std::uint32_t properties = 0;
    const int used = load_varint(at, end, properties);
    if (used <= 0 || end - at - used < static_cast<std::ptrdiff_t>(properties)) {
      return false;
    }
    at += used + static_cast<std::ptrdiff_t>(properties);
  }
  out.payload = {at, end};
  return true;
}

// What a CONNACK says. `receive_maximum` is 65535 where the server names none (MQTT 5, 3.2.2.3.3).
struct Connack {
  std::uint8_t code = 0xFF;
  std::uint16_t receive_maximum = 65535;
};

inline bool skip_property(std::span<const std::uint8_t>& rest, Connack& out) {
  const std::uint8_t id = rest[0];
  std::size_t value_bytes = 0;
  switch (id) {
    case 0x24:
    case 0x25:
    case 0x28:
    case 0x29:
    case 0x2A:
      value_bytes = 1;
      break;
    case 0x13:
    case 0x21:
    case 0x22:
      value_bytes = 2;
      break;
    case 0x11:
    case 0x27:
      value_bytes = 4;
      break;
    case 0x12:
    case 0x15:
    case 0x16:
    case 0x1A:
    case 0x1C:
    case 0x1F:
      value_bytes = rest.size() < 3 ? 2 : 2U + load_u16(&rest[1]);
      break;
    case 0x26: {
      const std::size_t key = rest.size() < 3 ? 2 : 2U + load_u16(&rest[1]);
      value_bytes = rest.size() < 3 + key ? key + 2 : key + 2 + load_u16(&rest[1 + key]);
      break;
    }
    default:
      return false;
  }
  if (rest.size() < 1 + value_bytes) {
    return false;
  }
  if (id == 0x21) {
    out.receive_maximum = load_u16(&rest[1]);
  }
  rest = rest.subspan(1 + value_bytes);
  return true;
}

inline bool read_connack(const FrameView& frame, int version, Connack& out) {
  auto body = frame.body();
  if (frame.first() != kConnack || body.size() < 2) {
    return false;
  }
  out.code = body[1];
  if (version < 5 || body.size() == 2) {
    return true;
  }
  std::uint32_t length = 0;
  const int used = load_varint(body.data() + 2, body.data() + body.size(), length);
  if (used <= 0 || body.size() - 2 - static_cast<std::size_t>(used) != length) {
    return false;
  }
  auto rest = body.subspan(2 + static_cast<std::size_t>(used));
  while (!rest.empty()) {
    if (!skip_property(rest, out)) {
      return false;
    }
  }
  return true;
}

inline void put_u16(std::string& out, std::size_t value) {
  out += static_cast<char>(value >> 8 & 0xFF);
  out += static_cast<char>(value & 0xFF);
}

inline void put_text(std::string& out, std::string_view text) {
  put_u16(out, text.size());
  out += text;
}

inline void put_varint(std::string& out, std::size_t value) {
  do {
    const std::size_t low = value & 0x7F;
    value >>= 7;
    out += static_cast<char>(value > 0 ? low | 0x80 : low);
  } while (value > 0);
}

inline void put_packet(std::string& out, std::uint8_t first, std::string_view body) {
  out += static_cast<char>(first);
  put_varint(out, body.size());
  out += body;
}

// Without a will. A clean session (v5: Clean Start, expiry 0), or one that is kept for an hour. `client_id` is written
// last, as the standard has it.
inline std::string connect_packet(
    std::string_view client_id, int version, bool persistent = false
) {
  constexpr std::size_t kKeepAliveS = 1200;
  constexpr std::size_t kExpiryS = 3600;
  std::string body;
  put_text(body, "MQTT");
  body += static_cast<char>(version);
  body += persistent ? '\0' : '\x02';
  put_u16(body, kKeepAliveS);
  if (version == 5 && persistent) {
    body += "\x05\x11";
    put_u16(body, 0);
    put_u16(body, kExpiryS);
  } else if (version == 5) {
    body += '\0';
  }
  put_text(body, client_id);
  std::string out;
  put_packet(out, kConnect, body);
  return out;
}

inline std::string subscribe_packet(
    std::uint16_t packet_id, std::span<const std::string> filters, int qos, int version
) {
  std::string body;
  put_u16(body, packet_id);
  if (version == 5) {
    body += '\0';
  }
  for (const auto& filter : filters) {
    put_text(body, filter);
    body += static_cast<char>(qos);
  }
  std::string out;
  put_packet(out, kSubscribe, body);
  return out;
}

inline std::string disconnect_packet() {
  return std::string("\xE0\0", 2);
}

// PUBACK, PUBREC, PUBREL or PUBCOMP that says "success" (in v5 by leaving the reason out).
inline void put_ack(std::string& out, std::uint8_t first, std::uint16_t packet_id) {
  out += static_cast<char>(first);
  out += '\x02';
  put_u16(out, packet_id);
}

// What every measured message carries in front of its payload.
struct Stamp {
  std::uint32_t publisher = 0;
  std::uint32_t sequence = 0;
  std::uint64_t due_ns = 0;
};

// Consecutive PUBLISH packets of one size in one buffer, encoded once: sending writes only topic,
// packet id and stamp anew, so that the generator's own cost per message stays at some ten
// nanoseconds.
class PublishBatch {
 public:
  struct Shape {
    int version = 4;
    int qos = 0;
    bool retain = false;
    std::size_t topic_bytes = 0;
    std::size_t payload_bytes = 0;
  };

  PublishBatch(const Shape& shape, std::size_t capacity) : capacity_(capacity), qos_(shape.qos) {
    std::string body;
    put_text(body, std::string(shape.topic_bytes, '?'));
    if (shape.qos > 0) {
      put_u16(body, 0);
    }
    if (shape.version == 5) {
      body += '\0';
    }
    body += std::string(std::max(shape.payload_bytes, sizeof(Stamp)), 'x');
    std::string frame;
    const int flags = shape.qos << 1 | (shape.retain ? 1 : 0);
    put_packet(frame, static_cast<std::uint8_t>(kPublish | flags), body);
    frame_bytes_ = frame.size();
    topic_at_ = frame.size() - body.size() + 2;
    id_at_ = topic_at_ + shape.topic_bytes;
    stamp_at_ = frame.size() - std::max(shape.payload_bytes, sizeof(Stamp));
    for (std::size_t i = 0; i < capacity; ++i) {
      bytes_ += frame;
    }
  }

  std::size_t capacity() const { return capacity_; }

  std::size_t frame_bytes() const { return frame_bytes_; }

  const char* data() const { return bytes_.data(); }

  void set(std::size_t i, std::string_view topic, std::uint16_t packet_id, const Stamp& stamp) {
    char* at = bytes_.data() + i * frame_bytes_;
    std::memcpy(at + topic_at_, topic.data(), topic.size());
    if (qos_ > 0) {
      store_u16(reinterpret_cast<std::uint8_t*>(at + id_at_), packet_id);
    }
    std::memcpy(at + stamp_at_, &stamp, sizeof(stamp));
  }

 private:
  std::size_t capacity_;
  int qos_;
  std::size_t frame_bytes_ = 0, topic_at_ = 0, id_at_ = 0, stamp_at_ = 0;
  std::string bytes_;
};

}  // namespace iotcore::bench
