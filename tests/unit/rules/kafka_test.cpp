#include "base/crypto.h"
#include "rules/action.h"
#include "rules/actions/kafka_producer.h"
#include "rules/actions/kafka_settings.h"
#include "rules/built_ins.h"
#include "rules/targets.h"
#include "store/memory_store.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <memory>
#include <string>
#include <vector>

namespace iotcore::rules {
namespace {

constexpr int kWaitMs = 10'000;

struct Received {
  std::int32_t partition = 0;
  std::string key;
  std::string payload;
  std::string header;  // deliveryId

  friend bool operator==(const Received&, const Received&) = default;
};

// librdkafka's own brokers, in this process.
class MockCluster {
 public:
  MockCluster() {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, nullptr);
    client_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, nullptr, 0);
    cluster_ = rd_kafka_mock_cluster_new(client_, 1);
  }

  MockCluster(const MockCluster&) = delete;
  MockCluster& operator=(const MockCluster&) = delete;

  ~MockCluster() {
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(client_);
  }

  std::string bootstrap() const { return rd_kafka_mock_cluster_bootstraps(cluster_); }

  void add_topic(const char* name, int partitions) {
    rd_kafka_mock_topic_create(cluster_, name, partitions, 1);
  }

  void set_up(bool up) {
    if (up) {
      rd_kafka_mock_broker_set_up(cluster_, 1);
    } else {
      rd_kafka_mock_broker_set_down(cluster_, 1);
    }
  }

  // Everything that is in one partition, up to so many.
  std::vector<Received> read(const char* topic, int partition, std::size_t count) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap().c_str(), nullptr, 0);
    rd_kafka_conf_set(conf, "group.id", "test", nullptr, 0);
    rd_kafka_conf_set(conf, "auto.offset.reset", "earliest", nullptr, 0);
    rd_kafka_conf_set_log_cb(conf, nullptr);
    rd_kafka_t* consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, nullptr, 0);
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t* where = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(where, topic, partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(consumer, where);
    rd_kafka_topic_partition_list_destroy(where);
    std::vector<Received> received;
    while (received.size() < count) {
      rd_kafka_message_t* message = rd_kafka_consumer_poll(consumer, kWaitMs);
      if (message == nullptr) {
        break;
      }
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        received.push_back(take(*message));
      }
      rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return received;
  }

 private:
  static Received take(const rd_kafka_message_t& message) {
    Received taken;
    taken.partition = message.partition;
    taken.key.assign(static_cast<const char*>(message.key), message.key_len);
    taken.payload.assign(static_cast<const char*>(message.payload), message.len);
    rd_kafka_headers_t* headers = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    if (rd_kafka_message_headers(&message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        rd_kafka_header_get_last(headers, "deliveryId", &value, &size) ==
            RD_KAFKA_RESP_ERR_NO_ERROR) {
      taken.header.assign(static_cast<const char*>(value), size);
    }
    return taken;
  }

  rd_kafka_t* client_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

Record record(
    std::string properties, std::string topic, std::string key, std::string partition, int n
) {
  Record made;
  made.fields = {
      std::move(properties), std::move(topic), "y", std::move(key), std::move(partition)};
  made.payload = fmt::format("{{\"n\":{}}}", n);
  made.delivery_id = fmt::format("d{}", n);
  return made;
}

std::vector<Outcome> deliver(Sink& sink, const std::vector<Record>& records) {
  std::vector<const Record*> batch;
  for (const Record& each : records) {
    batch.push_back(&each);
  }
  std::vector<Outcome> outcomes(batch.size());
  sink.deliver(batch, outcomes);
  return outcomes;
}

class NoThread final : public Executor {
 public:
  void post(Function<void()> /*task*/) override {}
};

// What stands behind actions of rules that may call these addresses.
struct BuiltInsAllowing {
  explicit BuiltInsAllowing(std::string_view addresses) {
    Destinations::Options options;
    options.http.allowed = net::parse_address_ranges(addresses).value();
    built_ins.emplace(store, metrics, clock, pool, MessageQueues::Limits{}, std::move(options));
    environment.built_ins = &*built_ins;
  }

  store::MemoryStore store;
  Metrics metrics;
  SystemClock clock;
  NoThread pool;
  std::optional<BuiltIns> built_ins;
  SinkEnvironment environment;
};

TEST_CASE("kafka: a rule's own client properties lead to no private address that is not allowed") {
  MockCluster cluster;
  cluster.add_topic("t", 1);
  const auto settings =
      actions::settings_of(json::object{{"bootstrap.servers", cluster.bootstrap()}}).value();
  net::HttpRules rules;
  const auto probe = [&] {
    const auto producer = actions::KafkaProducer::open(settings, [&rules](std::string_view ip) {
      return net::check_address(rules, true, ip);
    });
    return producer.value()->probe(std::chrono::seconds(2));
  };
  CHECK_FALSE(probe());
  rules.allowed = net::parse_address_ranges("127.0.0.1").value();
  CHECK(probe());
}

TEST_CASE("kafka: names that the library would put into a shell's command have no signs of a shell"
) {
  const auto with = [](const char* principal) {
    return actions::settings_of(json::object{
        {"bootstrap.servers", "a"},
        {"security.protocol", "SASL_PLAINTEXT"},
        {"sasl.mechanism", "GSSAPI"},
        {"sasl.kerberos.service.name", "kafka"},
        {"sasl.kerberos.principal", principal}});
  };
  const auto good = with("iot/host.example@EXAMPLE.COM");
  REQUIRE(good);
  CHECK(good->at("sasl.kerberos.min.time.before.relogin") == "0");  // no kinit at all
  for (const char* bad : {"", "-c", "a;id", "a`id`", "$(id)", "a b", "a|b", "a&b", "a\nb", "a'b"}) {
    INFO(bad);
    CHECK_FALSE(with(bad));
  }
}

TEST_CASE(
    "kafka: records of rules with their own client properties arrive, with key, partition and "
    "header"
) {
  MockCluster cluster;
  cluster.add_topic("t", 2);
  BuiltInsAllowing built_ins("127.0.0.1");
  const auto sink = find_action_kind("kafka")->make_sink("#0 x", built_ins.environment).value();
  const std::string properties = to_json(json::object{{"bootstrap.servers", cluster.bootstrap()}});
  const auto outcomes = deliver(
      *sink,
      {record(properties, "t", "k", "1", 1),
       record(properties, "t", "k", "1", 2),
       record("{}", "t", "k", "", 3)}
  );
  CHECK(outcomes[0].kind == Outcome::Kind::kDelivered);
  CHECK(outcomes[1].kind == Outcome::Kind::kDelivered);
  CHECK(outcomes[2].kind == Outcome::Kind::kPermanent);
  CHECK(outcomes[2].reason == "bootstrap.servers is missing");
  CHECK(
      cluster.read("t", 1, 2) ==
      std::vector<Received>{{1, "k", R"({"n":1})", "d1"}, {1, "k", R"({"n":2})", "d2"}}
  );
}

TEST_CASE("kafka: a broker that is away is a retry, and what comes then is in order and there once"
) {
  MockCluster cluster;
  cluster.add_topic("t", 1);
  Targets targets;
  REQUIRE(targets.replace(
      "test", {{"k", "kafka", {{"bootstrap", cluster.bootstrap()}, {"timeout", "1s"}}, "", ""}}
  ));
  SinkEnvironment environment;
  environment.targets = &targets;
  const auto sink = find_action_kind("kafka")->make_sink("k", environment).value();
  CHECK(sink->probe());
  std::vector<Record> records;
  for (int n = 0; n < 100; ++n) {
    records.push_back(record("", "t", "k", "0", n));
  }
  cluster.set_up(false);
  std::vector<Outcome> outcomes = deliver(*sink, records);
  CHECK(outcomes.front().kind == Outcome::Kind::kRetry);
  CHECK(outcomes.back().kind == Outcome::Kind::kRetry);
  cluster.set_up(true);
  for (int attempt = 0; attempt < 20; ++attempt) {
    outcomes = deliver(*sink, records);
    if (outcomes.front().kind == Outcome::Kind::kDelivered) {
      break;
    }
  }
  const std::vector<Received> received = cluster.read("t", 0, 100);
  REQUIRE(received.size() == 100);
  for (std::size_t n = 0; n < received.size(); ++n) {
    CHECK(received[n].header == fmt::format("d{}", n));
  }
}

TEST_CASE("kafka: what AWS's client properties come to") {
  const auto settings = actions::settings_of(json::object{
      {"bootstrap.servers", "a:1,b:2"},
      {"security.protocol", "SASL_SSL"},
      {"sasl.mechanism", "SCRAM-SHA-512"},
      {"sasl.scram.username", "u"},
      {"sasl.scram.password", "p"},
      {"acks", "1"},
      {"compression.type", "lz4"},
      {"key.serializer", "org.apache.kafka.common.serialization.StringSerializer"},
      {"ssl.truststore", to_base64("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")}}
  );
  REQUIRE(settings);
  CHECK(settings->at("acks") == "1");
  CHECK(settings->at("enable.idempotence") == "false");
  CHECK(settings->at("sasl.username") == "u");
  CHECK(settings->at("ssl.ca.pem").starts_with("-----BEGIN"));
  CHECK(settings->at("compression.type") == "lz4");

  const std::vector<std::pair<json::object, std::string>> wrong = {
      {{{"acks", "all"}}, "bootstrap.servers is missing"},
      {{{"bootstrap.servers", "a"}, {"acks", "2"}}, "acks: '2' is none of 0, 1, all, -1"},
      {{{"bootstrap.servers", "a"}, {"security.protocol", "SASL_SSL"}},
       "sasl.mechanism is missing"},
      {{{"bootstrap.servers", "a"},
        {"security.protocol", "SSL"},
        {"ssl.keystore", to_base64("\xFE\xED\xFE\xED rest")}},
       "ssl.keystore is a Java key store (JKS)"},
      {{{"bootstrap.servers", "a"}, {"security.protocol", "SSL"}, {"ssl.truststore", "junk!"}},
       "ssl.truststore: is neither PEM nor PKCS#12"}};
  for (const auto& [properties, message] : wrong) {
    const auto refused = actions::settings_of(properties);
    REQUIRE(!refused);
    CHECK(refused.error().message().starts_with(message));
  }
}

}  // namespace
}  // namespace iotcore::rules
