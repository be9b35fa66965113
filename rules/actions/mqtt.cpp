#include "rules/actions/mqtt.h"

#include "broker/topic.h"
#include "rules/actions/mqtt_bridge.h"
#include "rules/bindings.h"
#include "rules/member_reader.h"

#include <fmt/format.h>

namespace iotcore::rules::actions {
namespace {

Status check_topic(std::string_view topic) {
  if (!broker::is_valid_topic(topic, broker::kAnyTopicLimits)) {
    return fail(Errc::kInvalidRequest, fmt::format("'{}' is no topic to publish to", topic));
  }
  return {};
}

class MqttAction final : public Action {
 public:
  MqttAction(std::string target, sql::Template topic, std::string qos, std::string retain)
      : target_(std::move(target)),
        topic_(std::move(topic)),
        qos_(std::move(qos)),
        retain_(std::move(retain)) {}

  std::string target() const override { return target_; }

  std::string resource(const Fields& fields) const override {
    return target_ + "/" + fields[kMqttTopic];
  }

  std::string order_key(const Fields& fields, std::string_view /*payload*/) const override {
    return fields[kMqttTopic];
  }

  Result<Fields> resolve(const ActionInput& input) const override {
    IOTCORE_ASSIGN(std::string topic, input.evaluation.render(topic_));
    IOTCORE_TRY(check_topic(topic));
    return Fields{std::move(topic), qos_, retain_};
  }

 private:
  std::string target_;
  sql::Template topic_;
  std::string qos_;
  std::string retain_;
};

}  // namespace

ParsedAction Mqtt::parse(MemberReader& members, const SinkEnvironment& environment) {
  const TargetRef target = read_target(members, "target", kName, environment);
  std::optional<sql::Template> topic = members.text_template("topic");
  const std::int64_t qos = members.optional_integer("qos", 0, 2).value_or(1);
  const bool retain = members.optional_boolean("retain").value_or(false);
  if (topic && topic->is_literal()) {
    if (const Status valid = check_topic(topic->text()); !valid) {
      members.fail_member("topic", valid.error().message());
    }
  }
  if (members.failed()) {
    return nullptr;
  }
  return std::make_unique<MqttAction>(
      target->name, *std::move(topic), fmt::to_string(qos), retain ? "y" : ""
  );
}

Result<std::unique_ptr<Sink>> Mqtt::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  IOTCORE_ASSIGN(TargetRef found, target_of_sink(target, environment));
  MqttBridge::ClientIds ids;
  ids.own = fmt::format("iotcore-{}-{}", environment.outbox_id, found->name);
  ids.suffix = environment.lane;
  return std::make_unique<MqttBridge>(std::move(found), *environment.targets, std::move(ids));
}

}  // namespace iotcore::rules::actions
