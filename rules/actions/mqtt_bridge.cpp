#include "rules/actions/mqtt_bridge.h"

#include "broker/mqtt/encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

namespace iotcore::rules::actions {
namespace {

namespace mqtt = broker::mqtt;

// Messages that their queue has given up stay here until there are so many.
constexpr std::size_t kInFlightMax = 20'000;

// The message's own fault.
bool is_permanent(mqtt::Reason reason) {
  return reason == mqtt::Reason::kNotAuthorized || reason == mqtt::Reason::kTopicNameInvalid ||
         reason == mqtt::Reason::kPayloadFormatInvalid || reason == mqtt::Reason::kPacketTooLarge;
}

Outcome outcome_of(mqtt::Reason reason) {
  if (static_cast<unsigned>(reason) < 0x80U) {
    return {};
  }
  const std::string why = "MQTT: the broker refuses the message: " + reason_text(reason);
  return is_permanent(reason) ? Outcome::permanent(why) : Outcome::retry(why);
}

mqtt::Qos qos_of(const Record& record) {
  const std::string& text = record.fields[kMqttQos];
  return text == "2"   ? mqtt::Qos::kExactlyOnce
         : text == "1" ? mqtt::Qos::kAtLeastOnce
                       : mqtt::Qos::kAtMostOnce;
}

std::string with_length(std::string_view properties) {
  std::string block(
      mqtt::variable_byte_integer_size(static_cast<std::uint32_t>(properties.size())), '\0'
  );
  mqtt::write_variable_byte_integer(block.data(), static_cast<std::uint32_t>(properties.size()));
  return block.append(properties);
}

bool read_properties(std::string_view block, mqtt::PropertiesView& out) {
  ByteReader reader(block);
  return !mqtt::decode_properties(
      reader, mqtt::scope_of(mqtt::PacketType::kPublish), mqtt::Sender::kClient, out
  );
}

}  // namespace

Status MqttBridge::ensure_open() {
  if (client_) {
    return {};
  }
  IOTCORE_ASSIGN(const MqttOptions options, open_target(*target_, targets_, read_mqtt));
  IOTCORE_ASSIGN(
      client_,
      MqttClient::connect(
          options, options.client_id.empty() ? ids_.own : options.client_id + ids_.suffix
      )
  );
  if (!client_->session_present || in_flight_.size() > kInFlightMax) {
    in_flight_.clear();
    delivery_of_.clear();
  }
  return {};
}

std::uint16_t MqttBridge::new_packet_id() {
  do {
    last_packet_id_ = static_cast<std::uint16_t>(last_packet_id_ + 1);
  } while (last_packet_id_ == 0 || delivery_of_.contains(last_packet_id_));
  return last_packet_id_;
}

void MqttBridge::publish(Batch& batch, std::size_t index) {
  const Record& record = *batch.records[index];
  const auto refuse = [&](std::string reason) {
    batch.outcomes[index] = Outcome::permanent(std::move(reason));
    batch.done[index] = true;
  };
  const bool has_properties = record.fields.size() == kMqttProperties + 1;
  if (record.fields.size() != kMqttFieldCount && !has_properties) {
    refuse("not a record of this kind");
    return;
  }
  mqtt::PublishView publish;
  publish.topic = record.fields[kMqttTopic];
  publish.payload = record.payload;
  publish.qos = qos_of(record);
  publish.retain = !record.fields[kMqttRetain].empty();
  const std::string properties = has_properties ? with_length(record.fields[kMqttProperties]) : "";
  std::string repeated;
  if (client_->version() == mqtt::Version::kV5) {
    if (has_properties && !read_properties(properties, publish.properties)) {
      refuse("not a record of this kind");
      return;
    }
    repeated = publish.properties.repeated();
    mqtt::append_user_property(repeated, "deliveryId", record.delivery_id);
    publish.properties.set_repeated(repeated);
    if (record.is_json && !has_properties) {
      publish.properties.set(mqtt::Property::kPayloadFormatIndicator, 1);
      publish.properties.set(mqtt::Property::kContentType, "application/json");
    }
  }
  if (static_cast<std::uint8_t>(publish.qos) > client_->qos_max) {
    refuse(fmt::format("the broker takes no more than QoS {}", client_->qos_max));
    return;
  }
  if (publish.retain && !client_->retain_available) {
    refuse("the broker keeps no retained messages");
    return;
  }
  if (mqtt::encoded_size(client_->version(), publish) > client_->packet_bytes_max) {
    refuse(fmt::format("the broker takes packets of {} bytes only", client_->packet_bytes_max));
    return;
  }
  if (publish.qos == mqtt::Qos::kAtMostOnce) {
    client_->send(publish);
    return;  // done when the broker has answered a ping
  }
  InFlight& state = in_flight_[record.delivery_id];
  if (state.packet_id == 0) {
    state.packet_id = new_packet_id();
    delivery_of_[state.packet_id] = record.delivery_id;
  }
  batch.record_of[state.packet_id] = index;
  if (state.received) {
    client_->send(mqtt::Ack{
        mqtt::PacketType::kPubrel,
        static_cast<PacketId>(state.packet_id),
        mqtt::Reason::kSuccess,
        {}});
    return;
  }
  publish.packet_id = static_cast<PacketId>(state.packet_id);
  publish.dup = state.sent;
  state.sent = true;
  client_->send(publish);
}

void MqttBridge::finish(Batch& batch, std::uint16_t packet_id, Outcome outcome) {
  if (const auto delivery = delivery_of_.find(packet_id); delivery != delivery_of_.end()) {
    in_flight_.erase(delivery->second);
    delivery_of_.erase(delivery);
  }
  if (const auto record = batch.record_of.find(packet_id); record != batch.record_of.end()) {
    batch.outcomes[record->second] = std::move(outcome);
    batch.done[record->second] = true;
    batch.record_of.erase(record);
  }
}

void MqttBridge::take_ack(Batch& batch, const mqtt::Ack& ack) {
  const auto packet_id = static_cast<std::uint16_t>(ack.packet_id);
  if (ack.type == mqtt::PacketType::kPuback || ack.type == mqtt::PacketType::kPubcomp) {
    // PUBCOMP with "not found" is of a message that was done before.
    finish(
        batch, packet_id, ack.type == mqtt::PacketType::kPuback ? outcome_of(ack.reason) : Outcome()
    );
    return;
  }
  if (ack.type != mqtt::PacketType::kPubrec) {
    return;
  }
  if (static_cast<unsigned>(ack.reason) >= 0x80U) {
    finish(batch, packet_id, outcome_of(ack.reason));
    return;
  }
  if (const auto delivery = delivery_of_.find(packet_id); delivery != delivery_of_.end()) {
    in_flight_[delivery->second].received = true;
  }
  client_->send(mqtt::Ack{mqtt::PacketType::kPubrel, ack.packet_id, mqtt::Reason::kSuccess, {}});
}

Status MqttBridge::take_packet(Batch& batch) {
  IOTCORE_ASSIGN(const mqtt::PacketView packet, client_->receive());
  if (const auto* ack = std::get_if<mqtt::Ack>(&packet)) {
    take_ack(batch, *ack);
  } else if (std::holds_alternative<mqtt::Pingresp>(packet)) {
    ponged_ = true;
  }
  return {};
}

Status MqttBridge::ping(Batch& batch) {
  ponged_ = false;
  client_->send(mqtt::Pingreq{});
  while (!ponged_) {
    IOTCORE_TRY(take_packet(batch));
  }
  return {};
}

Status MqttBridge::run(Batch& batch) {
  IOTCORE_TRY(ensure_open());
  // Packet identifiers are left beside those of messages that an earlier connection did not finish.
  const std::size_t window = std::clamp<std::size_t>(client_->receive_max, 1, kInFlightMax);
  for (std::size_t next = 0; next < batch.records.size() || !batch.record_of.empty();) {
    while (next < batch.records.size() && batch.record_of.size() < window) {
      publish(batch, next++);
    }
    if (!batch.record_of.empty()) {
      IOTCORE_TRY(take_packet(batch));
    }
  }
  if (std::ranges::find(batch.done, false) != batch.done.end()) {
    IOTCORE_TRY(ping(batch));
    batch.done.assign(batch.records.size(), true);
  }
  return {};
}

void MqttBridge::deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  Batch now{batch, outcomes, {}, std::vector<bool>(batch.size())};
  const Status done = run(now);
  if (done) {
    return;
  }
  client_.reset();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!now.done[i]) {
      outcomes[i] = Outcome::retry(done.error().message());
    }
  }
}

Status MqttBridge::probe() {
  Batch none;
  Status alive = ensure_open();
  if (alive) {
    alive = ping(none);
  }
  if (!alive) {
    client_.reset();
  }
  return alive;
}

}  // namespace iotcore::rules::actions
