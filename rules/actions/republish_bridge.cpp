#include "base/bytes.h"
#include "broker/mqtt/properties.h"
#include "rules/actions/aws_sinks.h"
#include "rules/actions/mqtt_bridge.h"
#include "rules/actions/republish.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <optional>
#include <vector>

namespace iotcore::rules::actions {
namespace {

// What goes to a receiver says how long it is good for from then on (MQTT5 3.3.2-6). Nothing: no longer at all.
std::optional<std::string> with_expiry(const Record& record, WallTime now) {
  std::string properties = record.fields[kRepublishProperties];
  const std::string& text = record.fields[kRepublishExpiry];
  if (text.empty()) {
    return properties;
  }
  std::int64_t seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  seconds -= std::max<std::int64_t>(0, to_epoch_ms(now) - record.received_ms) / 1000;
  if (seconds <= 0) {
    return std::nullopt;
  }
  const auto left = static_cast<std::uint32_t>(seconds);
  properties += static_cast<char>(broker::mqtt::Property::kMessageExpiryInterval);
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    properties += static_cast<char>(left >> shift & 0xFFU);
  }
  return properties;
}

// Records of `republish` as those of `mqtt`. One whose message has expired is done with: nobody is to get it.
class RepublishBridge final : public Sink {
 public:
  RepublishBridge(std::unique_ptr<Sink> bridge, const Clock& clock)
      : bridge_(std::move(bridge)), clock_(clock) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    std::deque<Record> changed;
    PartOfBatch publishes;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const Record& record = *batch[i];
      if (record.fields.size() != kRepublishFieldCount) {
        outcomes[i] = Outcome::permanent("not a record of this kind");
        continue;
      }
      std::optional<std::string> properties = with_expiry(record, clock_.wall());
      if (!properties) {
        continue;
      }
      Record& publish = changed.emplace_back();
      publish.delivery_id = record.delivery_id;
      publish.payload = record.payload;
      publish.fields = {
          record.fields[kRepublishTopic], record.fields[kRepublishQos], "", *std::move(properties)};
      publishes.add(i, publish);
    }
    publishes.deliver(*bridge_, outcomes);
  }

  Status probe() override { return bridge_->probe(); }

 private:
  const std::unique_ptr<Sink> bridge_;
  const Clock& clock_;
};

}  // namespace

Result<std::unique_ptr<Sink>> make_bound_republish(
    const TargetRef& target, const SinkEnvironment& environment
) {
  if (target->kind != "mqtt") {
    return fail(
        Errc::kNotImplemented,
        fmt::format("republish has no way to targets of kind {}", target->kind)
    );
  }
  // The sessions of the action `mqtt` are others.
  MqttBridge::ClientIds ids;
  ids.own = fmt::format("iotcore-{}-{}-republish", environment.outbox_id, target->name);
  ids.suffix = "-republish" + environment.lane;
  return std::make_unique<RepublishBridge>(
      std::make_unique<MqttBridge>(target, *environment.targets, std::move(ids)),
      clock_of(environment)
  );
}

}  // namespace iotcore::rules::actions
