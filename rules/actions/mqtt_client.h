#pragma once

#include "broker/mqtt/decoder.h"
#include "broker/mqtt/encoder.h"
#include "broker/mqtt/packet.h"
#include "rules/actions/target_options.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>

namespace iotcore::rules::actions {

// A target of kind `mqtt`: another broker.
struct MqttOptions {
  ServerOptions server;
  std::string client_id;  // empty: one of our own
  broker::mqtt::Version version = broker::mqtt::Version::kV5;
  std::chrono::milliseconds timeout{0};
};

MqttOptions read_mqtt(MemberReader& members);

// The client's end of one MQTT connection. Blocks, no call for longer than its time-out; of no use after an error. One thread at a time.
class MqttClient {
 public:
  // Goes on with the session of that client id, if the broker has one.
  static Result<std::unique_ptr<MqttClient>> connect(
      const MqttOptions& options, const std::string& client_id
  );

  // Sent with the next flush() or receive().
  template <typename Packet>
  void send(const Packet& packet) {
    broker::mqtt::encode(out_, version_, packet);
  }

  Status flush();
  // The next packet; its views are good until the next call. kUnavailable if it is DISCONNECT.
  Result<broker::mqtt::PacketView> receive();

  // What the broker has said of itself.
  bool session_present = false;
  std::size_t receive_max = 100;
  std::size_t packet_bytes_max = 268'435'460;
  std::uint8_t qos_max = 2;
  bool retain_available = true;

  broker::mqtt::Version version() const { return version_; }

 private:
  MqttClient(net::ClientChannel channel, const MqttOptions& options)
      : channel_(std::move(channel)), version_(options.version), timeout_(options.timeout) {}

  Status take(const broker::mqtt::Connack& connack);

  net::ClientChannel channel_;
  const broker::mqtt::Version version_;
  const std::chrono::milliseconds timeout_;
  std::string out_;
  std::string in_;
  std::size_t taken_ = 0;  // of in_
};

// "not authorized (0x87)"
std::string reason_text(broker::mqtt::Reason reason);

}  // namespace iotcore::rules::actions
