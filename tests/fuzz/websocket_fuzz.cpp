#include "base/check.h"
#include "net/websocket.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// The first byte says in how large pieces the rest, a client's side of a connection, arrives. However it is cut, the decoder says
// the same, and what it says is what a plain reading of RFC 6455 says.
namespace iotcore::net {
namespace {

constexpr std::uint64_t kFrameMax = 4096;

struct Outcome {
  std::string data;
  std::string replies;
  bool closed = false;

  bool operator==(const Outcome&) const = default;
};

Outcome decode(std::string_view wire, std::size_t piece) {
  WebSocketDecoder decoder(kFrameMax);
  Outcome out;
  for (std::size_t at = 0; at < wire.size(); at += piece) {
    // A copy of its own, so that a read beyond the piece is found.
    std::string part(wire.substr(at, piece));
    const std::size_t n = decoder.decode(part, out.replies);
    IOTCORE_CHECK(n <= part.size());
    out.data.append(part, 0, n);
  }
  out.closed = decoder.closed();
  return out;
}

// The length of the first whole frame with its head, if it is one without faults.
struct FrameView {
  int opcode;
  bool final;
  std::size_t head;
  std::size_t payload;
};

std::optional<FrameView> first_frame(std::string_view wire) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(wire[i]); };
  if (wire.size() < 2 || (byte(0) & 0x70) != 0 || (byte(1) & 0x80) == 0) {
    return std::nullopt;
  }
  std::size_t length_bytes = 0;
  std::uint64_t n = byte(1) & 0x7F;
  if (n >= 126) {
    length_bytes = n == 126 ? 2 : 8;
    if (wire.size() < 2 + length_bytes) {
      return std::nullopt;
    }
    n = 0;
    for (std::size_t i = 0; i < length_bytes; ++i) {
      n = n << 8 | byte(2 + i);
    }
    if (n < (length_bytes == 2 ? 126U : 65536U)) {
      return std::nullopt;
    }
  }
  const std::size_t head = 2 + length_bytes + 4;
  if (n > kFrameMax || wire.size() < head || wire.size() - head < n) {
    return std::nullopt;
  }
  return FrameView{byte(0) & 0x0F, (byte(0) & 0x80) != 0, head, static_cast<std::size_t>(n)};
}

// The data of the frames before the first that is not whole and right.
std::string data_of_good_frames(std::string_view wire) {
  std::string out;
  bool in_message = false;
  while (const auto frame = first_frame(wire)) {
    const bool control = frame->opcode >= 8;
    const bool known =
        frame->opcode == 0 || frame->opcode == 2 || frame->opcode == 9 || frame->opcode == 10;
    if (!known || (control && (!frame->final || frame->payload > 125)) ||
        (!control && in_message != (frame->opcode == 0))) {
      break;
    }
    if (!control) {
      for (std::size_t i = 0; i < frame->payload; ++i) {
        out.push_back(static_cast<char>(wire[frame->head + i] ^ wire[frame->head - 4 + i % 4]));
      }
      in_message = !frame->final;
    }
    wire.remove_prefix(frame->head + frame->payload);
  }
  return out;
}

}  // namespace
}  // namespace iotcore::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace iotcore::net;
  if (size == 0) {
    return 0;
  }
  const std::string_view wire(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Outcome whole = decode(wire, std::max<std::size_t>(wire.size(), 1));
  IOTCORE_CHECK(decode(wire, 1) == whole);
  IOTCORE_CHECK(decode(wire, 1 + data[0] % 64) == whole);
  IOTCORE_CHECK(whole.data.starts_with(data_of_good_frames(wire)));
  return 0;
}
