#pragma once

#include "rules/actions/mqtt_client.h"
#include "rules/sink.h"

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::actions {

// The fields of a record of `mqtt`.
enum MqttField : std::size_t { kMqttTopic, kMqttQos, kMqttRetain, kMqttFieldCount };

// One more field of records of other actions: the properties of PUBLISH, encoded without their length.
inline constexpr std::size_t kMqttProperties = kMqttFieldCount;

// The sink of `mqtt`: one session at another broker.
class MqttBridge final : public Sink {
 public:
  struct ClientIds {
    std::string own;     // where the target gives none
    std::string suffix;  // of the target's: two sessions of one id would end each other
  };

  MqttBridge(TargetRef target, const Targets& targets, ClientIds ids)
      : target_(std::move(target)), targets_(targets), ids_(std::move(ids)) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override;
  Status probe() override;

 private:
  // A message at QoS 1 or 2 that the broker has not done with.
  struct InFlight {
    std::uint16_t packet_id = 0;
    bool received = false;  // PUBREC has come: PUBREL is what is left to say
    bool sent = false;      // over this or an earlier connection
  };

  struct Batch {
    std::span<const Record* const> records;
    std::span<Outcome> outcomes;
    std::map<std::uint16_t, std::size_t> record_of;  // by packet id: not done yet
    std::vector<bool> done;
  };

  Status ensure_open();
  Status run(Batch& batch);
  void publish(Batch& batch, std::size_t index);
  Status take_packet(Batch& batch);
  void take_ack(Batch& batch, const broker::mqtt::Ack& ack);
  void finish(Batch& batch, std::uint16_t packet_id, Outcome outcome);
  // Waits until the broker has read all there is.
  Status ping(Batch& batch);
  std::uint16_t new_packet_id();

  const TargetRef target_;
  const Targets& targets_;
  const ClientIds ids_;
  std::unique_ptr<MqttClient> client_;
  std::map<std::string, InFlight, std::less<>> in_flight_;  // by deliveryId
  std::map<std::uint16_t, std::string> delivery_of_;        // by packet id
  std::uint16_t last_packet_id_ = 0;
  bool ponged_ = false;
};

}  // namespace iotcore::rules::actions
