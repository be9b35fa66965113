#pragma once

#include "base/result.h"
#include "net/client_channel.h"
#include "rules/sink.h"

#include <chrono>
#include <cstdint>
#include <librdkafka/rdkafka.h>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotcore::rules::actions {

// librdkafka's settings by their names there.
using KafkaSettings = std::map<std::string, std::string, std::less<>>;

struct KafkaMessage {
  std::string topic;
  std::optional<std::string> key;
  std::int32_t partition = RD_KAFKA_PARTITION_UA;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string_view payload;  // for the call it is given to
};

// A connection to a Kafka cluster, which keeps itself up. One thread at a time.
class KafkaProducer {
 public:
  // `admits`: of the brokers' addresses, those that the cluster itself names, too; null: all.
  static Result<std::unique_ptr<KafkaProducer>> open(
      const KafkaSettings& settings, net::AddressRule admits = {}
  );
  // What is not acknowledged by then is not sent any more.
  ~KafkaProducer();
  KafkaProducer(const KafkaProducer&) = delete;
  KafkaProducer& operator=(const KafkaProducer&) = delete;

  // Sends all of them, and waits until each is acknowledged or given up. Those whose outcome is not kDelivered are left alone.
  void deliver(std::span<const KafkaMessage> messages, std::span<Outcome> outcomes);
  Status probe(std::chrono::milliseconds timeout);

  // Of no use any more: an idempotent producer has lost its place.
  bool is_broken() const;

 private:
  struct Destroy {
    void operator()(rd_kafka_t* producer) const;
  };

  explicit KafkaProducer(net::AddressRule admits) : admits_(std::move(admits)) {}

  Outcome produce(const KafkaMessage& message, Outcome& outcome);
  static void on_delivery(rd_kafka_t* producer, const rd_kafka_message_t* message, void* self);
  // Called on a thread of the library's. Instead of its own call of connect(): an error number, or 0.
  static int connect(
      int socket, const sockaddr* address, int address_bytes, const char* broker, void* self
  );
  static void on_error(rd_kafka_t* producer, int error, const char* reason, void* self);

  const net::AddressRule admits_;
  std::size_t waiting_ = 0;
  std::string last_error_;
  std::unique_ptr<rd_kafka_t, Destroy> producer_;
};

}  // namespace iotcore::rules::actions
