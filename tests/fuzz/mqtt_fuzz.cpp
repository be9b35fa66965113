#include "base/check.h"
#include "broker/mqtt/decoder.h"
#include "broker/mqtt/encoder.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// A stream of bytes as a peer may send it. The first byte chooses version and side, the second cuts the stream.
namespace iotcore::broker::mqtt {
namespace {

template <typename Packet>
std::string encoded(Version version, const Packet& packet) {
  std::string out;
  encode(out, version, packet);
  return out;
}

std::string encoded(Version version, const PacketView& packet) {
  return std::visit(
      [&](const auto& p) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(p)>, std::monostate>) {
          return {};
        } else {
          return encoded(version, p);
        }
      },
      packet
  );
}

// What was accepted can be written, and is then read as the same.
void check_round_trip(const PacketView& packet, DecodeContext context) {
  if (const auto* const connect = std::get_if<ConnectView>(&packet)) {
    context.version = connect->version;
  }
  const std::string bytes = encoded(context.version, packet);
  context.packet_bytes_max = DecodeContext{}.packet_bytes_max;
  const Decoded again = decode(bytes, context);
  IOTCORE_CHECK(again.state == FrameView::State::kReady);
  IOTCORE_CHECK(again.size_bytes == bytes.size());
  IOTCORE_CHECK(again.packet == packet);
}

void walk(const PacketView& packet) {
  if (const auto* const subscribe = std::get_if<SubscribeView>(&packet)) {
    std::size_t count = 0;
    for (const SubscriptionView& entry : subscribe->entries) {
      IOTCORE_CHECK(entry.filter.size() <= 0xFFFF);
      ++count;
    }
    IOTCORE_CHECK(count == subscribe->entries.count());
  }
  if (const auto* const publish = std::get_if<PublishView>(&packet)) {
    std::string forwarded;
    append_forwarded_properties(forwarded, publish->properties);
    const PublishCommon common{publish->topic, forwarded, publish->payload.size()};
    std::string head(publish_size(Version::kV5, common, {}) - common.payload_bytes, '\0');
    char* const end = write_publish_head(head.data(), Version::kV5, common, {});
    IOTCORE_CHECK(end == head.data() + head.size());
  }
}

// The same stream in two parts must give the same packets.
void check_cut(std::string_view bytes, std::size_t cut, const DecodeContext& context) {
  const Decoded whole = decode(bytes, context);
  // A copy of its own, so that reading on past the cut is seen.
  const std::vector<char> part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut));
  const Decoded first = decode({part.data(), part.size()}, context);
  if (first.state == FrameView::State::kNeedMore) {
    IOTCORE_CHECK(first.size_bytes == 0 || first.size_bytes > cut);
    IOTCORE_CHECK(first.size_bytes == 0 || first.size_bytes == whole.size_bytes);
  } else {
    IOTCORE_CHECK(first.state == whole.state);
    IOTCORE_CHECK(first.fault.code == whole.fault.code);
  }
}

void run(std::string_view input) {
  if (input.size() < 2) {
    return;
  }
  const auto choice = static_cast<std::uint8_t>(input[0]);
  static constexpr Version kVersions[] = {Version::kNone, Version::kV3, Version::kV5, Version::kV5};
  DecodeContext context;
  context.version = kVersions[choice & 3U];
  context.sender = (choice & 4U) != 0 ? Sender::kServer : Sender::kClient;
  context.packet_bytes_max = (choice & 8U) != 0 ? 100 : 1U << 20U;
  const std::size_t cut = static_cast<std::uint8_t>(input[1]);
  input.remove_prefix(2);
  while (!input.empty()) {
    check_cut(input, cut < input.size() ? cut : input.size() / 2, context);
    const Decoded decoded = decode(input, context);
    if (decoded.state != FrameView::State::kReady) {
      IOTCORE_CHECK(decoded.state == FrameView::State::kNeedMore || decoded.fault);
      return;
    }
    IOTCORE_CHECK(decoded.size_bytes >= 2 && decoded.size_bytes <= input.size());
    walk(decoded.packet);
    check_round_trip(decoded.packet, context);
    if (const auto* const connect = std::get_if<ConnectView>(&decoded.packet)) {
      context.version = connect->version;
    }
    input.remove_prefix(decoded.size_bytes);
  }
}

}  // namespace
}  // namespace iotcore::broker::mqtt

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  iotcore::broker::mqtt::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
