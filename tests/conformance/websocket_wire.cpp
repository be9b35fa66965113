#include "tests/conformance/websocket_wire.h"

#include "tests/conformance/failure.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>

namespace iotcore::conformance {
namespace {

using std::chrono::milliseconds;

// The key of RFC 6455's example, and what the server has to make of it.
constexpr std::string_view kRequest =
    "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n\r\n";
constexpr std::string_view kAccepted = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
constexpr std::string_view kProtocol = "Sec-WebSocket-Protocol: mqtt\r\n";

constexpr unsigned kBinary = 2;
constexpr unsigned kClose = 8;
constexpr unsigned kPing = 9;
constexpr unsigned kPong = 10;

class WebSocketWire final : public Wire {
 public:
  explicit WebSocketWire(std::unique_ptr<Wire> wire) : wire_(std::move(wire)) {
    wire_->send(kRequest);
    while (unread_.find("\r\n\r\n") == std::string::npos) {
      if (!wire_->receive(unread_, milliseconds(5000))) {
        throw Failure("the upgrade to WebSocket was not answered: " + unread_);
      }
    }
    const std::string head = unread_.substr(0, unread_.find("\r\n\r\n") + 2);
    if (!head.starts_with("HTTP/1.1 101") || head.find(kAccepted) == std::string::npos ||
        head.find(kProtocol) == std::string::npos) {
      throw Failure("the upgrade to WebSocket was answered with: " + head);
    }
    unread_.erase(0, head.size() + 2);
  }

  void send(std::string_view bytes) override {
    // Of one byte, of three, then large ones.
    constexpr std::size_t kLarge = 300'000;
    std::string frames;
    for (std::size_t size = 1; !bytes.empty(); size = size == 1 ? 3 : kLarge) {
      const std::string_view part = bytes.substr(0, size);
      append_frame(frames, kBinary, part);
      bytes.remove_prefix(part.size());
    }
    wire_->send(frames);
  }

  bool receive(std::string& bytes, milliseconds patience) override {
    if (closed_) {
      return false;
    }
    const std::size_t before = bytes.size();
    bool open = true;
    if (!take_frames(bytes) && !closed_) {
      open = wire_->receive(unread_, patience);
      take_frames(bytes);
    }
    return (open && !closed_) || bytes.size() > before;
  }

  void drop() override { wire_->drop(); }

 private:
  static void append_frame(std::string& out, unsigned opcode, std::string_view payload) {
    constexpr std::array<unsigned char, 4> kMask = {0x5A, 0x01, 0xFF, 0x80};
    out.push_back(static_cast<char>(0x80U | opcode));
    if (payload.size() < 126) {
      out.push_back(static_cast<char>(0x80U | payload.size()));
    } else {
      const bool is_long = payload.size() > 0xFFFF;
      out.push_back(static_cast<char>(0x80U | (is_long ? 127U : 126U)));
      for (int shift = is_long ? 56 : 8; shift >= 0; shift -= 8) {
        out.push_back(static_cast<char>((std::uint64_t{payload.size()} >> shift) & 0xFFU));
      }
    }
    out.append(reinterpret_cast<const char*>(kMask.data()), kMask.size());
    for (std::size_t i = 0; i < payload.size(); ++i) {
      out.push_back(static_cast<char>(static_cast<unsigned char>(payload[i]) ^ kMask[i % 4]));
    }
  }

  // True if there was a whole frame.
  bool take_frames(std::string& bytes) {
    bool any = false;
    while (!closed_ && take_frame(bytes)) {
      any = true;
    }
    return any;
  }

  bool take_frame(std::string& bytes) {
    if (unread_.size() < 2) {
      return false;
    }
    const auto byte = [this](std::size_t i) { return static_cast<unsigned char>(unread_[i]); };
    const unsigned opcode = byte(0) & 15U;
    std::size_t size = byte(1);
    std::size_t header = 2;
    if (size > 127) {
      throw Failure("the server masks its frames");
    }
    if (size > 125) {
      const std::size_t digits = size == 126 ? 2 : 8;
      if (unread_.size() < 2 + digits) {
        return false;
      }
      size = 0;
      for (; header < 2 + digits; ++header) {
        size = size << 8U | byte(header);
      }
    }
    if (unread_.size() < header + size) {
      return false;
    }
    const std::string payload = unread_.substr(header, size);
    unread_.erase(0, header + size);
    on_frame(opcode, payload, bytes);
    return true;
  }

  void on_frame(unsigned opcode, const std::string& payload, std::string& bytes) {
    if (opcode == kBinary || opcode == 0) {
      bytes += payload;
    } else if (opcode == kClose) {
      closed_ = true;
    } else if (opcode == kPing) {
      std::string pong;
      append_frame(pong, kPong, payload);
      wire_->send(pong);
    } else if (opcode != kPong) {
      throw Failure("the server sent a frame that is not binary (MQTT-6.0.0-1)");
    }
  }

  std::unique_ptr<Wire> wire_;
  std::string unread_;
  bool closed_ = false;
};

}  // namespace

std::unique_ptr<Wire> upgrade_to_websocket(std::unique_ptr<Wire> wire) {
  return std::make_unique<WebSocketWire>(std::move(wire));
}

}  // namespace iotcore::conformance
