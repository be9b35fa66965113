#include "rules/actions/nats_sink.h"

#include "base/clock.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace iotcore::rules::actions {
namespace {

constexpr ServerKind kServerKind = {"nats", "tls", 4222, 4222};

tl::unexpected<Error> nats_error(natsStatus status, std::string_view what) {
  const char* detail = nats_GetLastError(nullptr);
  return fail(
      status == NATS_TIMEOUT ? Errc::kTimeout : Errc::kUnavailable,
      fmt::format(
          "NATS: {}: {}{}{}",
          what,
          natsStatus_GetText(status),
          detail == nullptr ? "" : ": ",
          detail == nullptr ? "" : detail
      )
  );
}

template <typename... Steps>
natsStatus first_failure(Steps&&... steps) {
  natsStatus status = NATS_OK;
  static_cast<void>(((status = steps(), status == NATS_OK) && ...));
  return status;
}

}  // namespace

NatsOptions read_nats(MemberReader& members) {
  NatsOptions options;
  options.server = read_server(members, kServerKind);
  options.token = members.optional_text_or_secret("token");
  options.credentials = members.optional_text("credentials").value_or(std::string());
  options.jetstream = members.optional_boolean("jetstream").value_or(false);
  options.timeout = read_timeout(members, "timeout", std::chrono::seconds(10));
  return options;
}

Status check_nats_subject(std::string_view subject) {
  if (subject.empty()) {
    return fail(Errc::kInvalidRequest, "the subject is empty");
  }
  std::string_view rest = subject;
  while (true) {
    const std::size_t dot = rest.find('.');
    const std::string_view token = rest.substr(0, dot);
    const bool has_space = std::ranges::any_of(token, [](char c) {
      return static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
    });
    if (token.empty() || token == "*" || token == ">" || has_space) {
      return fail(
          Errc::kInvalidRequest,
          fmt::format(
              "'{}' is no subject to publish to: it has empty parts, spaces or wildcards", subject
          )
      );
    }
    if (dot == std::string_view::npos) {
      return {};
    }
    rest.remove_prefix(dot + 1);
  }
}

Status NatsSink::ensure_open() {
  if (connection_ && natsConnection_Status(connection_.get()) == NATS_CONN_STATUS_CONNECTED) {
    return {};
  }
  replies_.reset();
  connection_.reset();
  IOTCORE_ASSIGN(const NatsOptions options, open_target(*target_, targets_, read_nats));
  jetstream_ = options.jetstream;
  timeout_ = options.timeout;
  return connect(options);
}

Status NatsSink::connect(const NatsOptions& options) {
  natsOptions* raw = nullptr;
  if (const natsStatus made = natsOptions_Create(&raw); made != NATS_OK) {
    return nats_error(made, "options");
  }
  const std::unique_ptr<natsOptions, DestroyWith<natsOptions_Destroy>> to(raw);
  const Address& address = options.server.address;
  const bool is_ipv6 = address.host.find(':') != std::string::npos;
  const std::string url = fmt::format(
      fmt::runtime(is_ipv6 ? "nats://[{}]:{}" : "nats://{}:{}"), address.host, address.port
  );
  natsStatus status = first_failure(
      [&] { return natsOptions_SetURL(raw, url.c_str()); },
      [&] { return natsOptions_SetName(raw, "iotcore"); },
      [&] { return natsOptions_SetTimeout(raw, options.timeout.count()); },
      [&] { return natsOptions_SetWriteDeadline(raw, options.timeout.count()); },
      [&] { return natsOptions_SetAllowReconnect(raw, false); },  // the queue sees to that
      [&] { return natsOptions_SetPingInterval(raw, 20'000); }
  );
  if (status == NATS_OK && !address.user.empty()) {
    status = natsOptions_SetUserInfo(raw, address.user.c_str(), address.password.c_str());
  }
  if (status == NATS_OK && !options.token.empty()) {
    status = natsOptions_SetToken(raw, options.token.c_str());
  }
  if (status == NATS_OK && !options.credentials.empty()) {
    status = natsOptions_SetUserCredentialsFromFiles(raw, options.credentials.c_str(), nullptr);
  }
  if (status == NATS_OK && options.server.tls.on) {
    IOTCORE_ASSIGN(const net::ClientTls tls, load_tls(options.server.tls));
    status = first_failure(
        [&] { return natsOptions_SetSecure(raw, true); },
        [&] { return natsOptions_SetExpectedHostname(raw, address.host.c_str()); },
        [&] { return natsOptions_SkipServerVerification(raw, !tls.verify); },
        [&] {
          return tls.ca_pem.empty() ? NATS_OK
                                    : natsOptions_SetCATrustedCertificates(raw, tls.ca_pem.c_str());
        },
        [&] {
          return tls.certificate_pem.empty()
                     ? NATS_OK
                     : natsOptions_SetCertificatesChain(
                           raw, tls.certificate_pem.c_str(), tls.private_key_pem.c_str()
                       );
        }
    );
  }
  if (status != NATS_OK) {
    return nats_error(status, "options");
  }
  natsConnection* connected = nullptr;
  status = natsConnection_Connect(&connected, raw);
  connection_.reset(connected);
  if (status != NATS_OK) {
    connection_.reset();
    return nats_error(status, url);
  }
  natsInbox* inbox = nullptr;
  natsSubscription* replies = nullptr;
  status = natsInbox_Create(&inbox);
  if (status == NATS_OK) {
    inbox_ = inbox;
    natsInbox_Destroy(inbox);
    status = natsConnection_SubscribeSync(&replies, connected, (inbox_ + ".*").c_str());
  }
  replies_.reset(replies);
  if (status != NATS_OK) {
    return nats_error(status, "subscribe");
  }
  return {};
}

Status NatsSink::probe() {
  IOTCORE_TRY(ensure_open());
  const natsStatus status = natsConnection_FlushTimeout(connection_.get(), timeout_.count());
  if (status != NATS_OK) {
    replies_.reset();
    connection_.reset();
    return nats_error(status, "ping");
  }
  return {};
}

Result<NatsSink::Message> NatsSink::make(
    const Record& record, const NatsMessage& message, std::size_t index
) const {
  const std::string reply =
      message.jetstream ? fmt::format("{}.{}-{}", inbox_, round_, index) : std::string();
  natsMsg* raw = nullptr;
  natsStatus status = natsMsg_Create(
      &raw,
      message.subject.c_str(),
      reply.empty() ? nullptr : reply.c_str(),
      record.payload.data(),
      static_cast<int>(record.payload.size())
  );
  Message made(raw);
  if (status == NATS_OK && natsConnection_HasHeaderSupport(connection_.get()) == NATS_OK) {
    status = natsMsgHeader_Set(raw, "Nats-Msg-Id", record.delivery_id.c_str());
    for (const auto& [name, value] : message.headers) {
      status = status == NATS_OK ? natsMsgHeader_Add(raw, name.c_str(), value.c_str()) : status;
    }
  }
  if (status != NATS_OK) {
    return nats_error(status, "message");
  }
  return made;
}

Status NatsSink::publish_all(Batch& batch) {
  const auto bytes_max = static_cast<std::size_t>(natsConnection_GetMaxPayload(connection_.get()));
  ++round_;
  for (std::size_t i = 0; i < batch.records.size(); ++i) {
    const Record& record = *batch.records[i];
    Result<NatsMessage> message = message_of(record, jetstream_);
    if (message && record.payload.size() > bytes_max) {
      message = fail(
          Errc::kTooLarge,
          fmt::format("the payload is larger than the server's {} bytes", bytes_max)
      );
    }
    if (message) {
      if (const Status valid = check_nats_subject(message->subject); !valid) {
        message = fail(valid.error());
      }
    }
    if (!message) {
      batch.outcomes[i] = Outcome::permanent(message.error().message());
      continue;
    }
    IOTCORE_ASSIGN(const Message made, make(record, *message, i));
    const natsStatus sent = natsConnection_PublishMsg(connection_.get(), made.get());
    if (sent == NATS_INVALID_ARG || sent == NATS_MAX_PAYLOAD) {
      batch.outcomes[i] = Outcome::permanent(fmt::format("NATS: {}", natsStatus_GetText(sent)));
      continue;
    }
    if (sent != NATS_OK) {
      return nats_error(sent, "publish");
    }
    batch.subjects[i] = std::move(message->subject);
    batch.waits[i] = message->jetstream;
    batch.waiting += message->jetstream ? 1 : 0;
  }
  return {};
}

void NatsSink::take_acknowledgement(Batch& batch, natsMsg* message) const {
  // "<inbox>.<round>-<index>"
  const std::string_view subject = natsMsg_GetSubject(message);
  std::uint64_t round = 0;
  std::size_t index = 0;
  const char* end = subject.data() + subject.size();
  const char* at =
      std::from_chars(subject.data() + std::min(subject.size(), inbox_.size() + 1), end, round).ptr;
  if (at < end) {
    std::from_chars(at + 1, end, index);
  }
  if (round != round_ || index >= batch.waits.size() || !batch.waits[index]) {
    return;  // of an earlier batch
  }
  batch.waits[index] = false;
  --batch.waiting;
  const char* status = nullptr;
  if (natsMsgHeader_Get(message, "Status", &status) == NATS_OK && status != nullptr) {
    batch.outcomes[index] =
        Outcome::retry(fmt::format("no stream takes messages on {}", batch.subjects[index]));
    return;
  }
  const std::string_view text(
      natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message))
  );
  const Result<json::value> answer = parse_json(text);
  const json::object* members = answer ? answer->if_object() : nullptr;
  const json::value* error = members == nullptr ? nullptr : members->if_contains("error");
  if (members != nullptr && error == nullptr) {
    return;  // the stream has it
  }
  const json::object* why = error == nullptr ? nullptr : error->if_object();
  const json::value* code = why == nullptr ? nullptr : why->if_contains("code");
  const bool is_refused = code != nullptr && code->is_int64() && code->get_int64() / 100 == 4;
  const std::string reason =
      "JetStream: " + (error == nullptr ? std::string("?") : to_json(*error));
  batch.outcomes[index] = is_refused ? Outcome::permanent(reason) : Outcome::retry(reason);
}

Status NatsSink::take_acknowledgements(Batch& batch) {
  const SystemClock clock;
  const MonotonicTime deadline = clock.now() + timeout_;
  while (batch.waiting > 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock.now());
    natsMsg* raw = nullptr;
    const natsStatus status =
        natsSubscription_NextMsg(&raw, replies_.get(), std::max<std::int64_t>(1, left.count()));
    const Message message(raw);
    if (status != NATS_OK) {
      return nats_error(status, "acknowledgement");
    }
    take_acknowledgement(batch, message.get());
  }
  return {};
}

Status NatsSink::check_permissions(Batch& batch) {
  const char* text = nullptr;
  if (natsConnection_GetLastError(connection_.get(), &text) == NATS_OK || text == nullptr) {
    return {};
  }
  const std::string_view said = text;
  if (said.find("ermissions") == std::string_view::npos) {
    return {};
  }
  for (std::size_t i = 0; i < batch.records.size(); ++i) {
    if (!batch.subjects[i].empty() &&
        said.find('"' + batch.subjects[i] + '"') != std::string_view::npos) {
      batch.outcomes[i] = Outcome::permanent(fmt::format("NATS: {}", said));
      batch.waiting -= batch.waits[i] ? 1 : 0;
      batch.waits[i] = false;
    }
  }
  connection_.reset();  // which forgets the error
  return batch.waiting == 0 ? Status() : fail(Errc::kUnavailable, std::string(said));
}

void NatsSink::deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  Batch now{
      batch, outcomes, std::vector<std::string>(batch.size()), std::vector<bool>(batch.size()), 0};
  Status done = ensure_open();
  if (done) {
    done = publish_all(now);
  }
  bool flushed = false;
  if (done) {
    const natsStatus status = natsConnection_FlushTimeout(connection_.get(), timeout_.count());
    flushed = status == NATS_OK;
    done = flushed ? check_permissions(now) : nats_error(status, "flush");
  }
  if (done) {
    done = take_acknowledgements(now);
  }
  if (done) {
    return;
  }
  replies_.reset();
  connection_.reset();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (outcomes[i].kind == Outcome::Kind::kDelivered && (!flushed || now.waits[i])) {
      outcomes[i] = Outcome::retry(done.error().message());
    }
  }
}

}  // namespace iotcore::rules::actions
