#include "rules/actions/republish.h"

#include "base/crypto.h"
#include "broker/mqtt/properties.h"
#include "broker/reserved_topics.h"
#include "broker/topic.h"
#include "rules/actions/aws_sinks.h"
#include "rules/bindings.h"
#include "rules/in_process_publish.h"
#include "rules/member_reader.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace iotcore::rules::actions {
namespace {

namespace mqtt = broker::mqtt;

// Beyond it a chain of republishes is taken for a loop (rule-actions.md 5).
constexpr std::uint8_t kHopsMax = 8;
constexpr std::size_t kUserPropertiesMax = 100;

Status check_topic(std::string_view topic) {
  if (topic.empty()) {
    return fail(Errc::kTopicNameInvalid, "the topic is empty");
  }
  if (!broker::is_valid_topic(topic)) {
    return fail(Errc::kTopicNameInvalid, fmt::format("'{}' is not a topic to publish to", topic));
  }
  constexpr std::string_view kThings = "$aws/things/";
  if (topic.starts_with(kThings)) {
    const std::string_view rest = topic.substr(kThings.size());
    const std::size_t slash = rest.find('/');
    if (slash != std::string_view::npos && rest.substr(slash + 1).starts_with("jobs/")) {
      return fail(Errc::kTopicNameInvalid, "rules may not publish to the topics of jobs");
    }
  }
  if (!broker::client_may_publish(topic)) {
    return fail(Errc::kTopicNameInvalid, fmt::format("'{}' is a reserved topic", topic));
  }
  return {};
}

std::optional<std::uint32_t> parse_u32(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number)
                                                                  : std::nullopt;
}

Result<broker::Message::Ref> make_message(
    const Action::Fields& fields, std::string_view payload, std::uint8_t hops, const Clock& clock
) {
  if (fields.size() != kRepublishFieldCount) {
    return fail(Errc::kInternal, "not a record of this kind");
  }
  if (hops >= kHopsMax) {
    return fail(
        Errc::kLimitExceeded,
        fmt::format("the message was republished {} times: rules go round in a circle", kHopsMax)
    );
  }
  broker::PublishView publish;
  publish.topic = fields[kRepublishTopic];
  publish.payload = payload;
  publish.properties = fields[kRepublishProperties];
  publish.qos = fields[kRepublishQos] == "1" ? broker::Qos::kAtLeastOnce : broker::Qos::kAtMostOnce;
  publish.origin = broker::Origin::kRule;
  publish.hops = static_cast<std::uint8_t>(hops + 1);
  if (!fields[kRepublishExpiry].empty()) {
    publish.has_expiry = true;
    publish.expires_at =
        clock.now() + std::chrono::seconds(parse_u32(fields[kRepublishExpiry]).value_or(0));
  }
  return broker::Message::make(publish);
}

struct Headers {
  std::optional<sql::Template> payload_format;
  std::optional<sql::Template> content_type;
  std::optional<sql::Template> response_topic;
  std::optional<sql::Template> correlation_data;
  std::optional<sql::Template> expiry;
  std::vector<std::pair<sql::Template, sql::Template>> user_properties;
};

class RepublishAction final : public Action {
 public:
  RepublishAction(
      sql::Template topic,
      std::optional<sql::Template> qos,
      std::optional<Headers> headers,
      std::string target,
      const Clock& clock
  )
      : topic_(std::move(topic)),
        qos_(std::move(qos)),
        headers_(std::move(headers)),
        target_(std::move(target)),
        clock_(clock) {}

  std::string target() const override { return target_; }

  bool is_publish() const override { return target_ == kBuiltInTarget; }

  std::string order_key(const Fields& fields, std::string_view /*payload*/) const override {
    return fields[kRepublishTopic];
  }

  std::string resource(const Fields& fields) const override { return fields[kRepublishTopic]; }

  Result<broker::Message::Ref> to_message(
      const Fields& fields, std::string_view payload, std::uint8_t hops
  ) const override {
    return make_message(fields, payload, hops, clock_);
  }

  Result<Fields> resolve(const ActionInput& input) const override {
    Fields fields(kRepublishFieldCount);
    IOTCORE_ASSIGN(fields[kRepublishTopic], input.evaluation.render(topic_));
    if (fields[kRepublishTopic].starts_with("$$")) {
      fields[kRepublishTopic].erase(0, 1);
    }
    IOTCORE_TRY(check_topic(fields[kRepublishTopic]));
    fields[kRepublishQos].assign(
        1, '0'
    );  // not = "0": GCC 12 warns of an overlap that can't be (its bug 105651)
    if (qos_) {
      IOTCORE_ASSIGN(fields[kRepublishQos], input.evaluation.render(*qos_));
      if (fields[kRepublishQos] != "0" && fields[kRepublishQos] != "1") {
        return fail(
            Errc::kQosNotSupported, fmt::format("qos '{}' is not 0 or 1", fields[kRepublishQos])
        );
      }
    }
    if (headers_) {
      IOTCORE_TRY(resolve_headers(*headers_, input.evaluation, fields));
    }
    return fields;
  }

 private:
  static Status resolve_headers(
      const Headers& headers, sql::Evaluation& evaluation, Fields& fields
  );

  sql::Template topic_;
  std::optional<sql::Template> qos_;
  std::optional<Headers> headers_;
  const std::string target_;
  const Clock& clock_;
};

Status render(
    sql::Evaluation& evaluation, const std::optional<sql::Template>& text, std::string& out
) {
  if (text) {
    IOTCORE_ASSIGN(out, evaluation.render(*text));
  }
  return {};
}

Status RepublishAction::resolve_headers(
    const Headers& headers, sql::Evaluation& evaluation, Fields& fields
) {
  mqtt::PropertiesView properties;
  std::string format;
  std::string content_type;
  std::string response_topic;
  std::string correlation;
  IOTCORE_TRY(render(evaluation, headers.payload_format, format));
  IOTCORE_TRY(render(evaluation, headers.content_type, content_type));
  IOTCORE_TRY(render(evaluation, headers.response_topic, response_topic));
  IOTCORE_TRY(render(evaluation, headers.correlation_data, correlation));
  IOTCORE_TRY(render(evaluation, headers.expiry, fields[kRepublishExpiry]));
  if (format == "UTF8_DATA" || format == "UNSPECIFIED_BYTES") {
    properties.set(mqtt::Property::kPayloadFormatIndicator, format == "UTF8_DATA" ? 1U : 0U);
  } else if (!format.empty()) {
    return fail(
        Errc::kInvalidRequest,
        "headers.payloadFormatIndicator is neither UTF8_DATA nor UNSPECIFIED_BYTES"
    );
  }
  if (!content_type.empty()) {
    properties.set(mqtt::Property::kContentType, std::string_view(content_type));
  }
  if (!response_topic.empty()) {
    if (!broker::is_valid_topic(response_topic)) {
      return fail(Errc::kTopicNameInvalid, "headers.responseTopic is not a topic");
    }
    properties.set(mqtt::Property::kResponseTopic, std::string_view(response_topic));
  }
  std::string correlation_bytes;
  if (!correlation.empty()) {
    std::optional<std::string> decoded = from_base64(correlation);
    if (!decoded) {
      return fail(Errc::kInvalidRequest, "headers.correlationData is not base64");
    }
    correlation_bytes = *std::move(decoded);
    properties.set(mqtt::Property::kCorrelationData, std::string_view(correlation_bytes));
  }
  if (!fields[kRepublishExpiry].empty() && !parse_u32(fields[kRepublishExpiry])) {
    return fail(Errc::kInvalidRequest, "headers.messageExpiry is not a number of seconds");
  }
  std::string block;
  for (const auto& [key, value] : headers.user_properties) {
    IOTCORE_ASSIGN(const std::string name, evaluation.render(key));
    IOTCORE_ASSIGN(const std::string text, evaluation.render(value));
    mqtt::append_user_property(block, name, text);
  }
  properties.set_repeated(block);
  mqtt::append_forwarded_properties(fields[kRepublishProperties], properties);
  return {};
}

std::optional<Headers> parse_headers(MemberReader& members) {
  const json::object* object = members.optional_object("headers");
  if (object == nullptr) {
    return std::nullopt;
  }
  MemberReader inner = members.inner(*object, members.pointer_to("headers"));
  Headers headers;
  headers.payload_format = inner.optional_template("payloadFormatIndicator");
  headers.content_type = inner.optional_template("contentType");
  headers.response_topic = inner.optional_template("responseTopic");
  headers.correlation_data = inner.optional_template("correlationData");
  headers.expiry = inner.optional_template("messageExpiry");
  const json::array* pairs = inner.optional_array("userProperties");
  if (pairs != nullptr && (pairs->empty() || pairs->size() > kUserPropertiesMax)) {
    inner.fail_member("userProperties", "must have 1 to 100 entries");
  }
  for (std::size_t i = 0; pairs != nullptr && i < pairs->size(); ++i) {
    const std::string at = fmt::format("{}/{}", inner.pointer_to("userProperties"), i);
    if (!(*pairs)[i].is_object()) {
      inner.fail_at(at, "must be an object with key and value");
      break;
    }
    MemberReader pair = inner.inner((*pairs)[i].get_object(), at);
    std::optional<sql::Template> key = pair.text_template("key");
    std::optional<sql::Template> value = pair.text_template("value");
    inner.take_error(pair);
    if (key && value) {
      headers.user_properties.emplace_back(std::move(*key), std::move(*value));
    }
  }
  members.take_error(inner);
  return headers;
}

class RepublishSink final : public Sink {
 public:
  RepublishSink(broker::Workers& workers, const Clock& clock) : workers_(workers), clock_(clock) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    std::vector<broker::Message::Ref> messages;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Result<broker::Message::Ref> message =
          make_message(batch[i]->fields, batch[i]->payload, batch[i]->hops, clock_);
      if (!message) {
        outcomes[i] = Outcome::permanent(message.error().message());
        continue;
      }
      messages.push_back(std::move(*message));
      places.push_back(i);
    }
    const std::vector<bool> ok = publish_and_wait(workers_, messages);
    for (std::size_t i = 0; i < ok.size(); ++i) {
      if (!ok[i]) {
        outcomes[places[i]] = Outcome::retry("the broker has not confirmed the publish");
      }
    }
  }

  Status probe() override { return {}; }

 private:
  broker::Workers& workers_;
  const Clock& clock_;
};

// Targets match the topic as it is published, not as it is escaped.
std::string target_of(const sql::Template& topic, const SinkEnvironment& environment) {
  constexpr std::string_view kEscaped = "$$";
  if (environment.targets == nullptr || !topic.is_literal() ||
      !topic.text().starts_with(kEscaped)) {
    return bound_target(Republish::kName, topic, environment);
  }
  const TargetRef bound = environment.targets->bind(Republish::kName, topic.text().substr(1));
  return bound == nullptr ? std::string(kBuiltInTarget) : bound->name;
}

Result<std::unique_ptr<Sink>> make_in_process(const SinkEnvironment& environment) {
  if (environment.workers == nullptr || environment.clock == nullptr) {
    return fail(Errc::kUnavailable, "there is no broker here to publish to");
  }
  return std::make_unique<RepublishSink>(*environment.workers, *environment.clock);
}

constexpr AwsSinks kSinks = {
    Republish::kName, &field_of<kRepublishTopic>, &make_in_process, &make_bound_republish};

}  // namespace

ParsedAction Republish::parse(MemberReader& members, const SinkEnvironment& environment) {
  static const SystemClock kSystemClock;
  std::optional<sql::Template> topic = members.text_template("topic");
  if (topic && topic->is_literal()) {
    const std::string& text = topic->text();
    const Status valid = check_topic(std::string_view(text).substr(text.starts_with("$$") ? 1 : 0));
    if (!valid) {
      members.fail_member("topic", valid.error().message());
    }
  }
  std::optional<sql::Template> qos = members.optional_template("qos");
  if (qos && qos->is_literal() && qos->text() != "0" && qos->text() != "1") {
    members.fail_member("qos", "must be 0 or 1");
  }
  std::optional<Headers> headers = parse_headers(members);
  if (members.failed() || !topic) {
    return nullptr;
  }
  std::string target = target_of(*topic, environment);
  return std::make_unique<RepublishAction>(
      std::move(*topic),
      std::move(qos),
      std::move(headers),
      std::move(target),
      environment.clock == nullptr ? kSystemClock : *environment.clock
  );
}

Result<std::unique_ptr<Sink>> Republish::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_aws_sink(target, environment, kSinks, &make_sink);
}

}  // namespace iotcore::rules::actions
