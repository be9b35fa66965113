#pragma once

#include "base/result.h"
#include "net/http_message.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace iotcore::net {

// The server side of RFC 6455 for MQTT (MQTT5 6): binary messages whose boundaries mean nothing, so that data is passed on as it comes and
// no message is ever put together. Pure: bytes in, bytes out.

enum class WebSocketClose : std::uint16_t {
  kNormal = 1000,
  kGoingAway = 1001,
  kProtocolError = 1002,
  kUnsupportedData = 1003,
  kInvalidPayload = 1007,
  kTooBig = 1009,
};

enum class WebSocketOpcode : std::uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10,
};

// Takes what a client sends.
class WebSocketDecoder {
 public:
  explicit WebSocketDecoder(std::uint64_t frame_bytes_max) : frame_bytes_max_(frame_bytes_max) {}

  // Decodes `wire` in place: moves the data of binary messages, unmasked, to its front and returns how many bytes that is. What has to be
  // answered (pong, close) is appended to `replies` as whole frames. After closed() nothing is decoded any more.
  std::size_t decode(std::span<char> wire, std::string& replies);

  // The peer has sent a close frame, or broke the protocol; the answer to it is in `replies`, and the connection is to be ended.
  bool closed() const { return closed_; }

  // The first of the two.
  bool peer_closed() const { return peer_closed_; }

  // What our close frame said.
  WebSocketClose close_code() const { return close_code_; }

 private:
  static constexpr std::size_t kControlBytesMax = 125;

  // How long the head is, as far as its first bytes tell.
  std::size_t header_wanted() const;
  bool on_header(std::string& replies);
  void on_frame_end(std::string& replies);
  void on_close_frame(std::string& replies);
  void fail(WebSocketClose code, std::string& replies);

  std::uint64_t frame_bytes_max_;
  std::uint64_t payload_left_ = 0;
  std::uint8_t header_[14] = {};
  std::uint8_t header_size_ = 0;
  std::uint8_t control_size_ = 0;
  std::uint8_t mask_at_ = 0;
  std::uint8_t mask_[4] = {};
  char control_[kControlBytesMax] = {};
  WebSocketOpcode opcode_ = WebSocketOpcode::kContinuation;
  bool final_ = false;
  bool in_payload_ = false;
  bool in_message_ = false;  // between the first frame of a message and its last
  bool closed_ = false;
  bool peer_closed_ = false;
  WebSocketClose close_code_ = WebSocketClose::kNormal;
};

// The head of an unmasked frame, which is the whole of what a server puts before its data.
void append_frame_header(std::string& out, WebSocketOpcode opcode, std::size_t payload_bytes);
void append_close_frame(std::string& out, WebSocketClose code);

// A WebSocket connection's own state beside the stream's.
struct WebSocketState {
  explicit WebSocketState(std::uint64_t frame_bytes_max) : decoder(frame_bytes_max) {}

  WebSocketDecoder decoder;
  std::string out;  // whole frames not yet written
  std::size_t out_at = 0;
  bool close_sent = false;
};

// Whether that request asks for an upgrade to a WebSocket at all.
bool is_websocket_upgrade(const HttpRequest& request);
// The answer to a well-formed one: 101 with the subprotocol `mqtt`; 426 to another version of WebSocket. Errors: kInvalidRequest.
Result<HttpResponse> accept_websocket(const HttpRequest& request);

}  // namespace iotcore::net
