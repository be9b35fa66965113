#pragma once

#include "rules/actions/kafka_producer.h"
#include "rules/actions/target_options.h"

#include <string>
#include <string_view>

namespace iotcore::rules::actions {

// The names of AWS's clientProperties, which are those of Kafka's Java client.
bool is_client_property(std::string_view name);
// The one meant by a name that is none; may be empty.
std::string_view nearest_client_property(std::string_view name);
// Nobody is to see its value.
bool is_secret_property(std::string_view name);
// What is wrong with its value, if it can be told without secrets.
Status check_client_property(std::string_view name, std::string_view value);
// clientProperties as librdkafka's settings. kInvalidRequest says which property is wrong and why.
Result<KafkaSettings> settings_of(const json::object& client_properties);

// A target of kind `kafka`.
struct KafkaOptions {
  std::string bootstrap;
  TlsOptions tls;
  std::string user;
  std::string password;
  std::string mechanism;
  std::string acks;
  std::string compression;
  std::chrono::milliseconds timeout{0};
};

KafkaOptions read_kafka(MemberReader& members);
Result<KafkaSettings> settings_of(const KafkaOptions& options);

}  // namespace iotcore::rules::actions
