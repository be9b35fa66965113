#include "rules/actions/kafka_producer.h"

#include "base/log.h"
#include "net/admitted_connect.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>

#ifdef IOTCORE_THREAD_SANITIZED
#include <memory>
#include <pthread.h>
#include <threads.h>

// The library begins its threads by C11's functions, which GCC's thread sanitizer does not know: it crashes at the first allocation of such a thread. These
// begin them by the functions that it does know.
extern "C" int thrd_create(thrd_t* thread, thrd_start_t run, void* argument) {
  struct Start {
    thrd_start_t run;
    void* argument;
  };

  auto start = std::make_unique<Start>(Start{run, argument});
  const auto body = [](void* given) -> void* {
    const std::unique_ptr<Start> own(static_cast<Start*>(given));
    own->run(own->argument);
    return nullptr;
  };
  if (pthread_create(thread, nullptr, body, start.get()) != 0) {
    return thrd_error;
  }
  static_cast<void>(start.release());
  return thrd_success;
}

extern "C" int thrd_join(thrd_t thread, int* result) {
  if (result != nullptr) {
    *result = 0;
  }
  return pthread_join(thread, nullptr) == 0 ? thrd_success : thrd_error;
}
#endif

namespace iotcore::rules::actions {
namespace {

constexpr std::size_t kErrorBytes = 512;
constexpr int kPollMs = 100;

// The message's own fault, or something that nobody mends by waiting.
bool is_permanent(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR__BAD_MSG:
      return true;
    default:
      return false;
  }
}

Outcome outcome_of(rd_kafka_resp_err_t error, const std::string& last_error) {
  std::string reason = fmt::format("Kafka: {}", rd_kafka_err2str(error));
  if (is_permanent(error)) {
    return Outcome::permanent(std::move(reason));
  }
  if (!last_error.empty()) {
    reason += fmt::format(" ({})", last_error);
  }
  return Outcome::retry(std::move(reason));
}

struct DestroyConf {
  void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
};

}  // namespace

void KafkaProducer::Destroy::operator()(rd_kafka_t* producer) const {
  rd_kafka_purge(producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  rd_kafka_flush(producer, kPollMs);
  rd_kafka_destroy_flags(producer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

KafkaProducer::~KafkaProducer() = default;

Result<std::unique_ptr<KafkaProducer>> KafkaProducer::open(
    const KafkaSettings& settings, net::AddressRule admits
) {
  std::unique_ptr<KafkaProducer> made(new KafkaProducer(std::move(admits)));
  std::unique_ptr<rd_kafka_conf_t, DestroyConf> conf(rd_kafka_conf_new());
  std::array<char, kErrorBytes> error = {};
  for (const auto& [name, value] : settings) {
    if (rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), error.data(), error.size()) !=
        RD_KAFKA_CONF_OK) {
      return fail(Errc::kInvalidRequest, fmt::format("Kafka: {}", error.data()));
    }
  }
  rd_kafka_conf_set_opaque(conf.get(), made.get());
  rd_kafka_conf_set_dr_msg_cb(conf.get(), &KafkaProducer::on_delivery);
  rd_kafka_conf_set_error_cb(conf.get(), &KafkaProducer::on_error);
  if (made->admits_) {
    rd_kafka_conf_set_connect_cb(conf.get(), &KafkaProducer::connect);
  }
  // Its own log would go to standard error; what matters comes as an error, too.
  rd_kafka_conf_set_log_cb(conf.get(), nullptr);
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf.get(), error.data(), error.size());
  if (producer == nullptr) {
    return fail(Errc::kInvalidRequest, fmt::format("Kafka: {}", error.data()));
  }
  static_cast<void>(conf.release());  // the producer's now
  made->producer_.reset(producer);
  return made;
}

void KafkaProducer::on_delivery(
    rd_kafka_t* /*producer*/, const rd_kafka_message_t* message, void* self
) {
  auto& producer = *static_cast<KafkaProducer*>(self);
  auto* const outcome = static_cast<Outcome*>(message->_private);
  if (outcome == nullptr) {
    return;
  }
  --producer.waiting_;
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    *outcome = outcome_of(message->err, producer.last_error_);
  }
}

int KafkaProducer::connect(
    int socket, const sockaddr* address, int address_bytes, const char* broker, void* self
) {
  const auto& producer = *static_cast<const KafkaProducer*>(self);
  const Status begun = net::begin_to_connect(
      producer.admits_, socket, address, static_cast<std::size_t>(address_bytes)
  );
  if (begun) {
    return 0;
  }
  if (begun.error().code() != Errc::kForbidden) {
    return ECONNREFUSED;
  }
  log(LogLevel::kWarn, "kafka.refused", {{"broker", broker}, {"why", begun.error().message()}});
  return EACCES;
}

void KafkaProducer::on_error(
    rd_kafka_t* /*producer*/, int /*error*/, const char* reason, void* self
) {
  static_cast<KafkaProducer*>(self)->last_error_ = reason;
}

Outcome KafkaProducer::produce(const KafkaMessage& message, Outcome& outcome) {
  std::vector<rd_kafka_vu_t> arguments;
  const auto add = [&arguments](rd_kafka_vtype_t type) -> rd_kafka_vu_t& {
    rd_kafka_vu_t& added = arguments.emplace_back();
    added.vtype = type;
    return added;
  };
  add(RD_KAFKA_VTYPE_TOPIC).u.cstr = message.topic.c_str();
  add(RD_KAFKA_VTYPE_PARTITION).u.i32 = message.partition;
  rd_kafka_vu_t& value = add(RD_KAFKA_VTYPE_VALUE);
  // librdkafka copies it; its interface wants it changeable all the same.
  value.u.mem.ptr = const_cast<char*>(message.payload.data());
  value.u.mem.size = message.payload.size();
  add(RD_KAFKA_VTYPE_MSGFLAGS).u.i = RD_KAFKA_MSG_F_COPY;
  add(RD_KAFKA_VTYPE_OPAQUE).u.ptr = &outcome;
  if (message.key) {
    rd_kafka_vu_t& key = add(RD_KAFKA_VTYPE_KEY);
    key.u.mem.ptr = const_cast<char*>(message.key->data());
    key.u.mem.size = message.key->size();
  }
  for (const auto& [name, text] : message.headers) {
    rd_kafka_vu_t& header = add(RD_KAFKA_VTYPE_HEADER);
    header.u.header.name = name.c_str();
    header.u.header.val = text.data();
    header.u.header.size = static_cast<ssize_t>(text.size());
  }
  rd_kafka_error_t* error = rd_kafka_produceva(producer_.get(), arguments.data(), arguments.size());
  if (error == nullptr) {
    return {};
  }
  const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
  rd_kafka_error_destroy(error);
  return outcome_of(code, last_error_);
}

void KafkaProducer::deliver(std::span<const KafkaMessage> messages, std::span<Outcome> outcomes) {
  last_error_.clear();
  bool queue_full = false;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (outcomes[i].kind != Outcome::Kind::kDelivered) {
      continue;
    }
    if (queue_full) {
      outcomes[i] = Outcome::retry("Kafka: the queue is full");
      continue;
    }
    Outcome sent = produce(messages[i], outcomes[i]);
    if (sent.kind == Outcome::Kind::kDelivered) {
      ++waiting_;
    } else {
      // What comes behind must not overtake it.
      queue_full = sent.kind == Outcome::Kind::kRetry;
      outcomes[i] = std::move(sent);
    }
  }
  // Each message ends by delivery.timeout.ms, one way or the other.
  while (waiting_ > 0) {
    rd_kafka_poll(producer_.get(), kPollMs);
  }
}

Status KafkaProducer::probe(std::chrono::milliseconds timeout) {
  const rd_kafka_metadata_t* metadata = nullptr;
  const rd_kafka_resp_err_t error =
      rd_kafka_metadata(producer_.get(), 0, nullptr, &metadata, static_cast<int>(timeout.count()));
  rd_kafka_metadata_destroy(metadata);
  rd_kafka_poll(producer_.get(), 0);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return fail(
        Errc::kUnavailable,
        fmt::format(
            "Kafka: {}{}{}", rd_kafka_err2str(error), last_error_.empty() ? "" : ": ", last_error_
        )
    );
  }
  return {};
}

bool KafkaProducer::is_broken() const {
  std::array<char, kErrorBytes> reason = {};
  return rd_kafka_fatal_error(producer_.get(), reason.data(), reason.size()) !=
         RD_KAFKA_RESP_ERR_NO_ERROR;
}

}  // namespace iotcore::rules::actions
