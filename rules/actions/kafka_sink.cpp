#include "rules/actions/kafka_sink.h"

#include <algorithm>
#include <vector>

namespace iotcore::rules::actions {
namespace {

constexpr std::size_t kProducersMax = 16;
constexpr std::chrono::milliseconds kProbeTimeout = std::chrono::seconds(5);

}  // namespace

Result<KafkaSettings> KafkaSink::settings_for(const std::string& client_properties) const {
  if (client_properties.empty()) {
    if (target_ == nullptr) {
      return fail(Errc::kInvalidRequest, "the record names no Kafka cluster");
    }
    IOTCORE_ASSIGN(const KafkaOptions options, open_target(*target_, *targets_, read_kafka));
    return settings_of(options);
  }
  IOTCORE_ASSIGN(const json::value properties, parse_json(client_properties));
  if (!properties.is_object()) {
    return fail(Errc::kInvalidRequest, "clientProperties are no object");
  }
  return settings_of(properties.get_object());
}

Result<KafkaProducer*> KafkaSink::producer_for(const std::string& client_properties) {
  auto found = producers_.find(client_properties);
  if (found != producers_.end() && !found->second->is_broken()) {
    return found->second.get();
  }
  if (found == producers_.end() && producers_.size() >= kProducersMax) {
    producers_.clear();
  }
  IOTCORE_ASSIGN(const KafkaSettings settings, settings_for(client_properties));
  // What a rule brings may come from anybody who may make rules; a target is the configuration's. Kafka without TLS is in common use, HTTP is not.
  const net::AddressRule admits =
      client_properties.empty() ? net::AddressRule() : [this](std::string_view ip) {
        return net::check_address(rules_, true, ip);
      };
  IOTCORE_ASSIGN(std::unique_ptr<KafkaProducer> opened, KafkaProducer::open(settings, admits));
  return producers_.insert_or_assign(client_properties, std::move(opened)).first->second.get();
}

void KafkaSink::deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  // By cluster, in order within each.
  std::map<std::string, std::vector<std::size_t>, std::less<>> clusters;
  std::vector<KafkaMessage> messages(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Result<Message> made = message_of(*batch[i]);
    if (!made) {
      outcomes[i] = Outcome::permanent(made.error().message());
      continue;
    }
    made->message.payload = batch[i]->payload;
    made->message.headers.emplace_back("deliveryId", batch[i]->delivery_id);
    messages[i] = std::move(made->message);
    clusters[made->client_properties].push_back(i);
  }
  for (const auto& [properties, indexes] : clusters) {
    Result<KafkaProducer*> producer = producer_for(properties);
    std::vector<KafkaMessage> its;
    std::vector<Outcome> ends(indexes.size());
    its.reserve(indexes.size());
    for (const std::size_t i : indexes) {
      its.push_back(std::move(messages[i]));
    }
    if (producer) {
      (*producer)->deliver(its, ends);
    } else {
      // Properties that are wrong stay wrong; those of a target may be mended, and so may a file that can't be read.
      const bool wrong = !properties.empty() && producer.error().code() == Errc::kInvalidRequest;
      std::ranges::fill(
          ends,
          wrong ? Outcome::permanent(producer.error().message())
                : Outcome::retry(producer.error().message())
      );
    }
    for (std::size_t i = 0; i < indexes.size(); ++i) {
      outcomes[indexes[i]] = std::move(ends[i]);
    }
  }
}

Status KafkaSink::probe() {
  if (target_ != nullptr) {
    IOTCORE_ASSIGN(KafkaProducer * producer, producer_for(""));
    return producer->probe(kProbeTimeout);
  }
  Status last;
  for (const auto& [properties, producer] : producers_) {
    last = producer->probe(kProbeTimeout);
    if (last) {
      break;
    }
  }
  return last;
}

}  // namespace iotcore::rules::actions
