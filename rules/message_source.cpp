#include "rules/message_source.h"

#include "base/bytes.h"
#include "broker/mqtt/properties.h"

namespace iotcore::rules {
namespace {

namespace mqtt = broker::mqtt;

}  // namespace

void MessageSource::read(
    std::string_view topic,
    const broker::Publisher& publisher,
    const broker::PublishView& publish,
    std::string_view trace_id,
    std::string_view account,
    std::int64_t timestamp_ms
) {
  view_ = {};
  user_properties_.clear();
  view_.topic = topic;
  if (!publisher.client_id.empty()) {
    view_.client_id = publisher.client_id;
  }
  view_.principal = publisher.principal;
  view_.source_ip = publisher.source_ip;
  view_.trace_id = trace_id;
  view_.account_id = account;
  view_.timestamp_ms = timestamp_ms;
  if (!publish.properties.empty()) {
    read_properties(publish.properties);
  }
}

void MessageSource::read(const record::OutboxMessage& message, std::string_view account) {
  view_ = {};
  user_properties_.clear();
  view_.topic = message.topic();
  if (message.has_client_id()) {
    view_.client_id = message.client_id();
  }
  view_.principal = message.principal();
  view_.source_ip = message.source_ip();
  view_.trace_id = message.trace_id();
  view_.account_id = account;
  view_.timestamp_ms = message.timestamp_ms();
  if (!message.properties().empty()) {
    read_properties(message.properties());
  }
}

void MessageSource::read_properties(std::string_view encoded) {
  // The decoder wants their length in front.
  char length[4];
  const char* end =
      mqtt::write_variable_byte_integer(length, static_cast<std::uint32_t>(encoded.size()));
  property_block_.assign(length, static_cast<std::size_t>(end - length));
  property_block_.append(encoded);
  ByteReader reader(property_block_);
  mqtt::PropertiesView properties;
  if (mqtt::decode_properties(
          reader, mqtt::scope_of(mqtt::PacketType::kPublish), mqtt::Sender::kClient, properties
      )) {
    return;  // they were well-formed when they came in
  }
  view_.content_type = properties.text(mqtt::Property::kContentType);
  view_.response_topic = properties.text(mqtt::Property::kResponseTopic);
  view_.correlation_data = properties.text(mqtt::Property::kCorrelationData);
  if (const auto format = properties.number(mqtt::Property::kPayloadFormatIndicator)) {
    view_.payload_is_utf8 = *format == 1;
  }
  properties.for_each_user_property([this](const mqtt::UserPropertyView& property) {
    user_properties_.emplace_back(property.name, property.value);
  });
  view_.user_properties = user_properties_;
}

record::OutboxMessage keep_message(
    const sql::MessageView& view,
    std::string_view payload,
    std::string_view properties,
    std::uint8_t hops
) {
  record::OutboxMessage message;
  message.set_topic(std::string(view.topic));
  if (view.client_id) {
    message.set_client_id(std::string(*view.client_id));
  }
  message.set_principal(std::string(view.principal));
  message.set_source_ip(std::string(view.source_ip));
  message.set_trace_id(std::string(view.trace_id.value_or("")));
  message.set_timestamp_ms(view.timestamp_ms);
  message.set_properties(std::string(properties));
  message.set_payload(std::string(payload));
  message.set_hops(hops);
  return message;
}

}  // namespace iotcore::rules
