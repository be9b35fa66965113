#pragma once

#include "net/http_caller.h"
#include "rules/actions/kafka_producer.h"
#include "rules/actions/kafka_settings.h"
#include "rules/sink.h"
#include "rules/targets.h"

#include <map>
#include <memory>
#include <span>
#include <string>

namespace iotcore::rules::actions {

// What the sinks that produce to Kafka have in common. A record may bring the client properties of its own rule; each set of them has its own producer.
class KafkaSink : public Sink {
 public:
  // Without a target every record brings its properties. `rules`: where those may lead.
  KafkaSink(TargetRef target, const Targets* targets, net::HttpRules rules = {})
      : target_(std::move(target)), targets_(targets), rules_(std::move(rules)) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override;
  Status probe() override;

 protected:
  struct Message {
    KafkaMessage message;
    std::string client_properties;  // JSON; empty: the target's
  };

  // An error is this record's only, and permanent.
  virtual Result<Message> message_of(const Record& record) = 0;

 private:
  Result<KafkaProducer*> producer_for(const std::string& client_properties);
  Result<KafkaSettings> settings_for(const std::string& client_properties) const;

  const TargetRef target_;
  const Targets* targets_;
  const net::HttpRules rules_;
  std::map<std::string, std::unique_ptr<KafkaProducer>, std::less<>> producers_;
};

}  // namespace iotcore::rules::actions
