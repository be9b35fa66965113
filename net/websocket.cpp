#include "net/websocket.h"

#include "base/bytes.h"
#include "base/crypto.h"

#include <algorithm>
#include <cstring>

namespace iotcore::net {
namespace {

constexpr std::uint8_t kFinal = 0x80;
constexpr std::uint8_t kReserved = 0x70;
constexpr std::uint8_t kMasked = 0x80;
constexpr std::uint8_t kLength16 = 126;
constexpr std::uint8_t kLength64 = 127;
constexpr std::string_view kAcceptGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

// Copies n bytes down to `to` (which may overlap `from` from below), each xored with the mask from position `at` on. Eight at a time.
void unmask(char* to, const char* from, std::size_t n, const std::uint8_t (&mask)[4], unsigned at) {
  std::uint8_t pattern[8];
  for (unsigned i = 0; i < 8; ++i) {
    pattern[i] = mask[(at + i) % 4];
  }
  std::uint64_t wide_mask = 0;
  std::memcpy(&wide_mask, pattern, 8);
  for (; n >= 8; n -= 8, to += 8, from += 8) {
    std::uint64_t chunk = 0;
    std::memcpy(&chunk, from, 8);
    chunk ^= wide_mask;
    std::memcpy(to, &chunk, 8);
  }
  for (std::size_t i = 0; i < n; ++i) {
    to[i] = static_cast<char>(static_cast<std::uint8_t>(from[i]) ^ pattern[i]);
  }
}

bool is_control(WebSocketOpcode opcode) {
  return static_cast<std::uint8_t>(opcode) >= 8;
}

bool is_known(WebSocketOpcode opcode) {
  switch (opcode) {
    case WebSocketOpcode::kContinuation:
    case WebSocketOpcode::kText:
    case WebSocketOpcode::kBinary:
    case WebSocketOpcode::kClose:
    case WebSocketOpcode::kPing:
    case WebSocketOpcode::kPong:
      return true;
  }
  return false;
}

// RFC 6455 7.4: those that may stand in a close frame.
bool is_valid_close_code(std::uint16_t code) {
  return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
         (code >= 3000 && code <= 4999);
}

using SameToken = bool (*)(std::string_view, std::string_view);

bool is_same(std::string_view a, std::string_view b) {
  return a == b;
}

bool has_token(std::string_view rest, std::string_view wanted, SameToken same) {
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    std::string_view token = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    const std::size_t first = token.find_first_not_of(" \t");
    if (first != std::string_view::npos) {
      token = token.substr(first, token.find_last_not_of(" \t") - first + 1);
      if (same(token, wanted)) {
        return true;
      }
    }
  }
  return false;
}

// A list may also be spread over several fields of one name.
bool has_token(
    const HttpHeaders& headers,
    std::string_view name,
    std::string_view wanted,
    SameToken same = equal_ignoring_case
) {
  return std::any_of(headers.begin(), headers.end(), [&](const HttpHeaders::Field& field) {
    return equal_ignoring_case(field.first, name) && has_token(field.second, wanted, same);
  });
}

}  // namespace

std::size_t WebSocketDecoder::decode(std::span<char> wire, std::string& replies) {
  const char* from = wire.data();
  const char* const end = from + wire.size();
  char* to = wire.data();
  while (from != end && !closed_) {
    const auto left = static_cast<std::size_t>(end - from);
    if (!in_payload_) {
      const std::size_t n = std::min<std::size_t>(header_wanted() - header_size_, left);
      std::memcpy(header_ + header_size_, from, n);
      header_size_ = static_cast<std::uint8_t>(header_size_ + n);
      from += n;
      if ((header_size_ == 2 || header_size_ == header_wanted()) && !on_header(replies)) {
        break;
      }
      continue;
    }
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(payload_left_, left));
    char* const target = is_control(opcode_) ? control_ + control_size_ : to;
    unmask(target, from, n, mask_, mask_at_);
    if (is_control(opcode_)) {
      control_size_ = static_cast<std::uint8_t>(control_size_ + n);
    } else {
      to += n;
    }
    from += n;
    mask_at_ = static_cast<std::uint8_t>((mask_at_ + n) % 4);
    payload_left_ -= n;
    if (payload_left_ == 0) {
      on_frame_end(replies);
    }
  }
  return static_cast<std::size_t>(to - wire.data());
}

std::size_t WebSocketDecoder::header_wanted() const {
  if (header_size_ < 2) {
    return 2;
  }
  const std::uint8_t length = header_[1] & ~kMasked;
  return length == kLength64 ? 14 : length == kLength16 ? 8 : 6;
}

bool WebSocketDecoder::on_header(std::string& replies) {
  // Everything that the first two bytes say wrong is refused at once, before the rest is waited for.
  opcode_ = static_cast<WebSocketOpcode>(header_[0] & 0x0F);
  final_ = (header_[0] & kFinal) != 0;
  const std::uint8_t short_length = header_[1] & static_cast<std::uint8_t>(~kMasked);
  const bool begins = opcode_ == WebSocketOpcode::kBinary || opcode_ == WebSocketOpcode::kText;
  if ((header_[0] & kReserved) != 0 || !is_known(opcode_) || (header_[1] & kMasked) == 0 ||
      (is_control(opcode_) && (!final_ || short_length > kControlBytesMax)) ||
      (begins && in_message_) || (opcode_ == WebSocketOpcode::kContinuation && !in_message_)) {
    fail(WebSocketClose::kProtocolError, replies);
    return false;
  }
  if (opcode_ == WebSocketOpcode::kText) {
    fail(WebSocketClose::kUnsupportedData, replies);  // MQTT-6.0.0-1
    return false;
  }
  if (header_size_ == 2) {
    return true;
  }
  payload_left_ = short_length;
  const ByteReader whole(std::string_view(reinterpret_cast<const char*>(header_), header_size_));
  ByteReader reader = whole;
  reader.u16();
  if (short_length == kLength16) {
    payload_left_ = reader.u16();
  } else if (short_length == kLength64) {
    payload_left_ = reader.u64();
  }
  const bool overlong = (short_length == kLength16 && payload_left_ < kLength16) ||
                        (short_length == kLength64 && payload_left_ <= 0xFFFF) ||
                        (payload_left_ >> 63) != 0;
  if (overlong) {
    fail(WebSocketClose::kProtocolError, replies);
    return false;
  }
  if (payload_left_ > frame_bytes_max_) {
    fail(WebSocketClose::kTooBig, replies);
    return false;
  }
  std::memcpy(mask_, reader.bytes(4).data(), 4);
  mask_at_ = 0;
  header_size_ = 0;
  control_size_ = 0;
  in_payload_ = true;
  if (!is_control(opcode_)) {
    in_message_ = !final_;
  }
  if (payload_left_ == 0) {
    on_frame_end(replies);
  }
  return true;
}

void WebSocketDecoder::on_frame_end(std::string& replies) {
  in_payload_ = false;
  if (opcode_ == WebSocketOpcode::kPing) {
    append_frame_header(replies, WebSocketOpcode::kPong, control_size_);
    replies.append(control_, control_size_);
  } else if (opcode_ == WebSocketOpcode::kClose) {
    on_close_frame(replies);
  }
}

void WebSocketDecoder::on_close_frame(std::string& replies) {
  WebSocketClose answer = WebSocketClose::kNormal;
  if (control_size_ == 1) {
    answer = WebSocketClose::kProtocolError;
  } else if (control_size_ >= 2) {
    const std::string_view payload(control_, control_size_);
    const std::uint16_t code = ByteReader(payload).u16();
    if (!is_valid_close_code(code)) {
      answer = WebSocketClose::kProtocolError;
    } else if (!is_valid_utf8(payload.substr(2))) {
      answer = WebSocketClose::kInvalidPayload;
    } else {
      answer = static_cast<WebSocketClose>(code);
    }
  }
  peer_closed_ = true;
  fail(answer, replies);
}

void WebSocketDecoder::fail(WebSocketClose code, std::string& replies) {
  closed_ = true;
  close_code_ = code;
  append_close_frame(replies, code);
}

void append_frame_header(std::string& out, WebSocketOpcode opcode, std::size_t payload_bytes) {
  out.push_back(static_cast<char>(kFinal | static_cast<std::uint8_t>(opcode)));
  if (payload_bytes < kLength16) {
    out.push_back(static_cast<char>(payload_bytes));
  } else if (payload_bytes <= 0xFFFF) {
    out.push_back(static_cast<char>(kLength16));
    append_u16(out, static_cast<std::uint16_t>(payload_bytes));
  } else {
    out.push_back(static_cast<char>(kLength64));
    append_u64(out, payload_bytes);
  }
}

void append_close_frame(std::string& out, WebSocketClose code) {
  append_frame_header(out, WebSocketOpcode::kClose, 2);
  append_u16(out, static_cast<std::uint16_t>(code));
}

bool is_websocket_upgrade(const HttpRequest& request) {
  return has_token(request.headers, "Connection", "upgrade") &&
         has_token(request.headers, "Upgrade", "websocket");
}

Result<HttpResponse> accept_websocket(const HttpRequest& request) {
  const std::string* key = request.headers.find("Sec-WebSocket-Key");
  const std::string* version = request.headers.find("Sec-WebSocket-Version");
  if (request.method != "GET" || key == nullptr || version == nullptr) {
    return fail(Errc::kInvalidRequest, "not a WebSocket handshake (RFC 6455 4.2.1)");
  }
  if (*version != "13") {
    HttpResponse other;  // RFC 6455 4.2.2, 4.4: with the version that we have
    other.status = 426;
    other.headers.add("Upgrade", "websocket");
    other.headers.add("Sec-WebSocket-Version", "13");
    return other;
  }
  const std::optional<std::string> nonce = from_base64(*key);
  if (!nonce || nonce->size() != 16) {
    return fail(Errc::kInvalidRequest, "Sec-WebSocket-Key is not 16 bytes in base64");
  }
  // As it is spelled: a client has to break off where the answer names what it has not offered (RFC 6455 4.1).
  if (!has_token(request.headers, "Sec-WebSocket-Protocol", "mqtt", is_same)) {
    return fail(Errc::kInvalidRequest, "the WebSocket subprotocol mqtt is needed (MQTT-6.0.0-3)");
  }
  HttpResponse response;
  response.status = 101;
  response.headers.add("Upgrade", "websocket");
  response.headers.add("Connection", "Upgrade");
  response.headers.add(
      "Sec-WebSocket-Accept", to_base64(digest(Digest::kSha1, *key + std::string(kAcceptGuid)))
  );
  response.headers.add("Sec-WebSocket-Protocol", "mqtt");
  return response;
}

}  // namespace iotcore::net
