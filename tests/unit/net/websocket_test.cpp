#include "net/websocket.h"

#include <catch2/catch.hpp>

#include <random>
#include <string>
#include <vector>

using namespace iotcore;
using namespace iotcore::net;

namespace {

constexpr std::uint64_t kFrameMax = 1 << 20;

struct Frame {
  int opcode = 2;
  std::string payload = {};
  bool final = true;
  bool masked = true;
  int reserved = 0;
  std::uint32_t mask = 0xA1B2C3D4;
};

std::string encode(const Frame& frame) {
  std::string out;
  out.push_back(static_cast<char>((frame.final ? 0x80 : 0) | frame.reserved << 4 | frame.opcode));
  const std::size_t n = frame.payload.size();
  const int mask_bit = frame.masked ? 0x80 : 0;
  if (n < 126) {
    out.push_back(static_cast<char>(mask_bit | static_cast<int>(n)));
  } else if (n <= 0xFFFF) {
    out.push_back(static_cast<char>(mask_bit | 126));
    out.push_back(static_cast<char>(n >> 8));
    out.push_back(static_cast<char>(n));
  } else {
    out.push_back(static_cast<char>(mask_bit | 127));
    for (int shift = 56; shift >= 0; shift -= 8) {
      out.push_back(static_cast<char>(static_cast<std::uint64_t>(n) >> shift));
    }
  }
  char mask[4] = {0, 0, 0, 0};
  if (frame.masked) {
    for (int i = 0; i < 4; ++i) {
      mask[i] = static_cast<char>(frame.mask >> (24 - 8 * i));
      out.push_back(mask[i]);
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    out.push_back(static_cast<char>(frame.payload[i] ^ mask[i % 4]));
  }
  return out;
}

struct Decoded {
  std::string data;
  std::string replies;
  bool closed = false;
  WebSocketClose code = WebSocketClose::kNormal;
};

// In pieces of that size; 0 for all at once.
Decoded decode(const std::string& wire, std::size_t piece = 0) {
  WebSocketDecoder decoder(kFrameMax);
  Decoded out;
  const std::size_t step = piece == 0 ? std::max<std::size_t>(wire.size(), 1) : piece;
  for (std::size_t at = 0; at < wire.size(); at += step) {
    std::string part = wire.substr(at, step);
    const std::size_t n = decoder.decode(part, out.replies);
    out.data += part.substr(0, n);
  }
  out.closed = decoder.closed();
  out.code = decoder.close_code();
  return out;
}

std::string close_reply(int code) {
  return {static_cast<char>(0x88), 2, static_cast<char>(code >> 8), static_cast<char>(code)};
}

HttpRequest handshake() {
  HttpRequest request;
  request.method = "GET";
  request.target = "/mqtt";
  request.headers = {
      {"Host", "h"},
      {"Connection", "keep-alive, Upgrade"},
      {"Upgrade", "WebSocket"},
      {"Sec-WebSocket-Version", "13"},
      {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
      {"Sec-WebSocket-Protocol", "mqttv3.1, mqtt"}};
  return request;
}

}  // namespace

TEST_CASE("Frames of every length form come out unmasked, however they are cut") {
  std::mt19937 random(7);
  std::string wire;
  std::string expected;
  for (const std::size_t n :
       {0U, 1U, 2U, 3U, 7U, 8U, 9U, 125U, 126U, 127U, 1000U, 65535U, 65536U, 70001U}) {
    Frame frame;
    frame.mask = static_cast<std::uint32_t>(random());
    for (std::size_t i = 0; i < n; ++i) {
      frame.payload.push_back(static_cast<char>(random()));
    }
    expected += frame.payload;
    wire += encode(frame);
  }
  for (const std::size_t piece : {0U, 1U, 2U, 3U, 5U, 13U, 4096U}) {
    const Decoded decoded = decode(wire, piece);
    CHECK(decoded.data == expected);
    CHECK(decoded.replies.empty());
    CHECK(!decoded.closed);
  }
}

TEST_CASE("A message may come in fragments, with control frames between them") {
  const std::string wire = encode({.opcode = 2, .payload = "ab", .final = false}) +
                           encode({.opcode = 9, .payload = "ping"}) +
                           encode({.opcode = 0, .payload = "cd", .final = false}) +
                           encode({.opcode = 10, .payload = "unasked"}) +
                           encode({.opcode = 0, .payload = "ef"}) +
                           encode({.opcode = 2, .payload = "gh"});
  for (const std::size_t piece : {0U, 1U, 3U}) {
    const Decoded decoded = decode(wire, piece);
    CHECK(decoded.data == "abcdefgh");
    CHECK(decoded.replies == "\x8A\x04ping");
    CHECK(!decoded.closed);
  }
}

TEST_CASE("What breaks RFC 6455 is answered by the close code it names") {
  struct Case {
    const char* what;
    std::string wire;
    int code;
  };

  const std::vector<Case> cases = {
      {"5.1: not masked", encode({.payload = "x", .masked = false}), 1002},
      {"5.2: reserved bit", encode({.payload = "x", .reserved = 4}), 1002},
      {"5.2: unknown data opcode", encode({.opcode = 3}), 1002},
      {"5.2: unknown control opcode", encode({.opcode = 11}), 1002},
      {"5.2: length in too many bytes (16)", std::string("\x82\xFE\x00\x05mask", 8), 1002},
      {"5.2: length in too many bytes (64)",
       std::string("\x82\xFF\0\0\0\0\0\0\xFF\xFFmask", 14),
       1002},
      {"5.2: length above 2^63", std::string("\x82\xFF\x80\0\0\0\0\0\0\0mask", 14), 1002},
      {"5.4: continuation of nothing", encode({.opcode = 0}), 1002},
      {"5.4: a new message before the end of the last",
       encode({.final = false}) + encode({.opcode = 2}),
       1002},
      {"5.5: fragmented control frame", encode({.opcode = 9, .final = false}), 1002},
      {"5.5: control frame over 125 bytes",
       encode({.opcode = 9, .payload = std::string(126, 'p')}),
       1002},
      {"5.5.1: close with half a code", encode({.opcode = 8, .payload = "x"}), 1002},
      {"7.4: close code not for the wire", encode({.opcode = 8, .payload = "\x03\xED"}), 1002},
      {"7.4: close code out of range", encode({.opcode = 8, .payload = "\x01\x02"}), 1002},
      {"8.1: close reason not UTF-8", encode({.opcode = 8, .payload = "\x03\xE8\xFF"}), 1007},
      {"MQTT-6.0.0-1: text", encode({.opcode = 1, .payload = "text"}), 1003},
      {"too large", std::string("\x82\xFF\0\0\0\0\0\x10\0\x01mask", 14), 1009},
  };
  for (const Case& c : cases) {
    INFO(c.what);
    for (const std::size_t piece : {0U, 1U}) {
      const Decoded decoded = decode(
          encode({.payload = "before"}).substr(0, 0) + c.wire + encode({.payload = "after"}), piece
      );
      CHECK(decoded.closed);
      CHECK(static_cast<int>(decoded.code) == c.code);
      CHECK(decoded.replies == close_reply(c.code));
      CHECK(decoded.data.find("after") == std::string::npos);
    }
  }
}

TEST_CASE("A frame of the greatest size passes") {
  const Decoded decoded = decode(encode({.payload = std::string(kFrameMax, 'x')}), 100000);
  CHECK(decoded.data.size() == kFrameMax);
  CHECK(!decoded.closed);
}

TEST_CASE("A close frame is echoed and ends the decoding") {
  const Decoded normal = decode(
      encode({.payload = "last"}) +
      encode(
          {.opcode = 8,
           .payload = "\x03\xE8"
                      "bye"}
      ) +
      encode({.payload = "late"})
  );
  CHECK(normal.data == "last");
  CHECK(normal.replies == close_reply(1000));
  const Decoded own_code = decode(encode({.opcode = 8, .payload = "\x0F\xA0"}));
  CHECK(own_code.replies == close_reply(4000));
  const Decoded empty = decode(encode({.opcode = 8}));
  CHECK(empty.replies == close_reply(1000));
}

TEST_CASE("A server's frame has the shortest length and no mask") {
  for (const auto& [n, head] : std::vector<std::pair<std::size_t, std::string>>{
           {0, std::string("\x82\x00", 2)},
           {125, "\x82\x7D"},
           {126, std::string("\x82\x7E\x00\x7E", 4)},
           {65535, "\x82\x7E\xFF\xFF"},
           {65536, std::string("\x82\x7F\0\0\0\0\0\x01\0\0", 10)}}) {
    std::string out;
    append_frame_header(out, WebSocketOpcode::kBinary, n);
    CHECK(out == head);
  }
}

TEST_CASE("A handshake is accepted with RFC 6455's own example") {
  const HttpRequest request = handshake();
  CHECK(is_websocket_upgrade(request));
  const Result<HttpResponse> response = accept_websocket(request);
  REQUIRE(response);
  CHECK(response->status == 101);
  CHECK(*response->headers.find("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  CHECK(*response->headers.find("Sec-WebSocket-Protocol") == "mqtt");
}

TEST_CASE("A handshake that lacks something is refused") {
  const auto refused = [](auto change) {
    HttpRequest request = handshake();
    change(request);
    return !accept_websocket(request);
  };
  CHECK(refused([](HttpRequest& r) { r.method = "POST"; }));
  CHECK(refused([](HttpRequest& r) { r.headers.set("Sec-WebSocket-Key", "c2hvcnQ="); }));
  CHECK(refused([](HttpRequest& r) { r.headers.set("Sec-WebSocket-Protocol", "chat"); }));
  CHECK(refused([](HttpRequest& r) { r.headers.set("Sec-WebSocket-Protocol", "MQTT"); }));
  HttpRequest old = handshake();
  old.headers.set("Sec-WebSocket-Version", "8");
  const Result<HttpResponse> response = accept_websocket(old);
  REQUIRE(response);
  CHECK(response->status == 426);
  CHECK(*response->headers.find("Sec-WebSocket-Version") == "13");
  HttpRequest plain = handshake();
  plain.headers.set("Connection", "keep-alive");
  CHECK(!is_websocket_upgrade(plain));
}
