#include "rules/actions/mqtt_client.h"

#include "broker/mqtt/encoder.h"

#include <fmt/format.h>

#include <array>

namespace iotcore::rules::actions {
namespace {

namespace mqtt = broker::mqtt;

constexpr ServerKind kServerKind = {"mqtt", "mqtts", 1883, 8883};
constexpr std::uint32_t kSessionExpiryS = 86'400;
constexpr std::size_t kClientIdBytesMax = 65'535;

}  // namespace

MqttOptions read_mqtt(MemberReader& members) {
  static constexpr auto kVersions = std::to_array<std::string_view>({"3.1.1", "5"});
  MqttOptions options;
  options.server = read_server(members, kServerKind);
  options.client_id = members.optional_text("clientId").value_or(std::string());
  options.version =
      members.choice("version", kVersions, "5") == "5" ? mqtt::Version::kV5 : mqtt::Version::kV3;
  options.timeout = read_timeout(members, "timeout", std::chrono::seconds(30));
  if (options.client_id.size() > kClientIdBytesMax) {
    members.fail_member("clientId", "is too long");
  }
  return options;
}

std::string reason_text(mqtt::Reason reason) {
  return fmt::format("{} (0x{:02X})", mqtt::reason_name(reason), static_cast<unsigned>(reason));
}

Result<std::unique_ptr<MqttClient>> MqttClient::connect(
    const MqttOptions& options, const std::string& client_id
) {
  const Address& address = options.server.address;
  IOTCORE_ASSIGN(
      net::ClientChannel channel,
      net::ClientChannel::open(address.host, address.port, options.timeout)
  );
  if (options.server.tls.on) {
    IOTCORE_ASSIGN(const net::ClientTls tls, load_tls(options.server.tls));
    IOTCORE_TRY(channel.start_tls(tls));
  }
  std::unique_ptr<MqttClient> client(new MqttClient(std::move(channel), options));
  mqtt::ConnectView connect;
  connect.version = options.version;
  connect.clean_start = false;
  connect.client_id = client_id;
  if (options.version == mqtt::Version::kV5) {
    connect.properties.set(mqtt::Property::kSessionExpiryInterval, kSessionExpiryS);
  }
  if (!address.user.empty()) {
    connect.user_name = address.user;
  }
  if (!address.password.empty()) {
    connect.password = address.password;
  }
  client->send(connect);
  IOTCORE_ASSIGN(const mqtt::PacketView answer, client->receive());
  const auto* connack = std::get_if<mqtt::Connack>(&answer);
  if (connack == nullptr) {
    return fail(Errc::kUnavailable, "MQTT: the broker does not answer CONNECT with CONNACK");
  }
  IOTCORE_TRY(client->take(*connack));
  return client;
}

Status MqttClient::take(const mqtt::Connack& connack) {
  if (connack.reason != mqtt::Reason::kSuccess) {
    return fail(
        Errc::kUnavailable,
        "MQTT: the broker refuses the connection: " + reason_text(connack.reason)
    );
  }
  session_present = connack.session_present;
  if (version_ == mqtt::Version::kV5) {
    const mqtt::PropertiesView& said = connack.properties;
    receive_max = said.number_or(mqtt::Property::kReceiveMaximum, 65'535);
    packet_bytes_max =
        said.number_or(mqtt::Property::kMaximumPacketSize, mqtt::kVariableByteIntegerMax);
    qos_max = static_cast<std::uint8_t>(said.number_or(mqtt::Property::kMaximumQos, 2));
    retain_available = said.number_or(mqtt::Property::kRetainAvailable, 1) != 0;
  }
  return {};
}

Status MqttClient::flush() {
  channel_.set_deadline(timeout_);
  IOTCORE_TRY(channel_.write(out_));
  out_.clear();
  return {};
}

Result<mqtt::PacketView> MqttClient::receive() {
  IOTCORE_TRY(flush());
  in_.erase(0, taken_);
  taken_ = 0;
  const mqtt::DecodeContext context{version_, mqtt::Sender::kServer};
  std::array<char, 16'384> chunk;
  for (;;) {
    const mqtt::Decoded decoded = mqtt::decode(in_, context);
    if (decoded.state == mqtt::FrameView::State::kFault) {
      return fail(Errc::kUnavailable, "MQTT: the broker sends nonsense");
    }
    if (decoded.state == mqtt::FrameView::State::kReady) {
      taken_ = decoded.size_bytes;
      if (const auto* bye = std::get_if<mqtt::Disconnect>(&decoded.packet)) {
        return fail(
            Errc::kUnavailable, "MQTT: the broker disconnects: " + reason_text(bye->reason)
        );
      }
      return decoded.packet;
    }
    IOTCORE_ASSIGN(const std::size_t n, channel_.read(chunk.data(), chunk.size()));
    if (n == 0) {
      return fail(Errc::kUnavailable, "MQTT: the broker has closed the connection");
    }
    in_.append(chunk.data(), n);
  }
}

}  // namespace iotcore::rules::actions
