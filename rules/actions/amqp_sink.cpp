#include "rules/actions/amqp_sink.h"

#include "base/clock.h"
#include "net/tls_address.h"

#include <fmt/format.h>

#include <algorithm>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <sys/time.h>

namespace iotcore::rules::actions {
namespace {

constexpr ServerKind kServerKind = {"amqp", "amqps", 5672, 5671};
constexpr amqp_channel_t kChannel = 1;
constexpr int kFrameBytesMax = 131'072;
constexpr const char* kSystemCas = "/etc/ssl/certs/ca-certificates.crt";
constexpr std::uint8_t kPersistent = 2;
constexpr std::uint16_t kNotFound = 404;
constexpr std::uint16_t kAccessRefused = 403;
constexpr std::uint16_t kPreconditionFailed = 406;

amqp_bytes_t bytes_of(std::string_view text) {
  // librabbitmq reads it only.
  return {text.size(), const_cast<char*>(text.data())};
}

std::string text_of(amqp_bytes_t bytes) {
  return {static_cast<const char*>(bytes.bytes), bytes.len};
}

timeval timeval_of(std::chrono::milliseconds time) {
  return {time.count() / 1000, static_cast<suseconds_t>(time.count() % 1000 * 1000)};
}

std::string reason_of(const amqp_rpc_reply_t& reply) {
  if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION) {
    return amqp_error_string2(reply.library_error);
  }
  if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
    return text_of(static_cast<amqp_connection_close_t*>(reply.reply.decoded)->reply_text);
  }
  if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
    return text_of(static_cast<amqp_channel_close_t*>(reply.reply.decoded)->reply_text);
  }
  return "the broker refuses";
}

Status check(const amqp_rpc_reply_t& reply, std::string_view what) {
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
    return {};
  }
  return fail(Errc::kUnavailable, fmt::format("AMQP: {}: {}", what, reason_of(reply)));
}

Status check_status(int status, std::string_view what) {
  if (status == AMQP_STATUS_OK) {
    return {};
  }
  return fail(
      status == AMQP_STATUS_TIMEOUT ? Errc::kTimeout : Errc::kUnavailable,
      fmt::format("AMQP: {}: {}", what, amqp_error_string2(status))
  );
}

bool is_short_text(std::string_view text) {
  return text.size() <= 255;
}

}  // namespace

AmqpOptions read_amqp(MemberReader& members) {
  AmqpOptions options;
  options.server = read_server(members, kServerKind);
  std::string_view path = options.server.address.path;
  path.remove_prefix(path.starts_with('/') ? 1 : 0);
  const std::string from_url = net::percent_decode(path).value_or(std::string(path));
  options.vhost = members.optional_text("vhost").value_or(from_url.empty() ? "/" : from_url);
  options.timeout = read_timeout(members, "timeout", std::chrono::seconds(30));
  return options;
}

Status AmqpSink::ensure_open() {
  if (connection_) {
    return {};
  }
  IOTCORE_ASSIGN(const AmqpOptions options, open_target(*target_, targets_, read_amqp));
  Status connected = connect(options);
  if (!connected) {
    connection_.reset();
  }
  return connected;
}

Result<amqp_socket_t*> AmqpSink::make_socket(
    amqp_connection_state_t state, const TlsOptions& options, const std::string& host
) {
  if (!options.on) {
    return amqp_tcp_socket_new(state);
  }
  IOTCORE_ASSIGN(const net::ClientTls tls, load_tls(options));
  IOTCORE_ASSIGN(ca_, MemoryFile::make(tls.ca_pem));
  IOTCORE_ASSIGN(cert_, MemoryFile::make(tls.certificate_pem));
  IOTCORE_ASSIGN(key_, MemoryFile::make(tls.private_key_pem));
  amqp_socket_t* socket = amqp_ssl_socket_new(state);
  if (socket == nullptr) {
    return fail(Errc::kUnavailable, "AMQP: no memory for TLS");
  }
  amqp_ssl_socket_set_verify_peer(socket, tls.verify ? 1 : 0);
  // The library compares names only.
  const bool is_address =
      tls.verify && net::expect_address(amqp_ssl_socket_get_context(socket), host);
  amqp_ssl_socket_set_verify_hostname(socket, tls.verify && !is_address ? 1 : 0);
  if (tls.verify) {
    IOTCORE_TRY(check_status(
        amqp_ssl_socket_set_cacert(socket, ca_.path().empty() ? kSystemCas : ca_.path().c_str()),
        "CA certificate"
    ));
  }
  if (!cert_.path().empty()) {
    IOTCORE_TRY(check_status(
        amqp_ssl_socket_set_key(socket, cert_.path().c_str(), key_.path().c_str()),
        "client certificate"
    ));
  }
  return socket;
}

Status AmqpSink::connect(const AmqpOptions& options) {
  const Address& address = options.server.address;
  timeout_ = options.timeout;
  connection_.reset(amqp_new_connection());
  amqp_connection_state_t state = connection_.get();
  IOTCORE_ASSIGN(amqp_socket_t * socket, make_socket(state, options.server.tls, address.host));
  if (socket == nullptr) {
    return fail(Errc::kUnavailable, "AMQP: no memory for a socket");
  }
  timeval limit = timeval_of(timeout_);
  amqp_set_handshake_timeout(state, &limit);
  amqp_set_rpc_timeout(state, &limit);
  IOTCORE_TRY(check_status(
      amqp_socket_open_noblock(socket, address.host.c_str(), address.port, &limit),
      fmt::format("{}:{}", address.host, address.port)
  ));
  // No heartbeats: librabbitmq would have to be called for them between batches. A dead connection shows with the next one.
  IOTCORE_TRY(check(
      amqp_login(
          state,
          options.vhost.c_str(),
          0,
          kFrameBytesMax,
          0,
          AMQP_SASL_METHOD_PLAIN,
          address.user.empty() ? "guest" : address.user.c_str(),
          address.user.empty() ? "guest" : address.password.c_str()
      ),
      "login"
  ));
  amqp_channel_open(state, kChannel);
  IOTCORE_TRY(check(amqp_get_rpc_reply(state), "channel"));
  amqp_confirm_select(state, kChannel);
  IOTCORE_TRY(check(amqp_get_rpc_reply(state), "confirms"));
  next_tag_ = 1;
  return {};
}

Status AmqpSink::probe() {
  connection_.reset();
  return ensure_open();
}

Status AmqpSink::publish(const Record& record, const AmqpMessage& message) {
  amqp_basic_properties_t properties = {};
  properties._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG |
                      AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_APP_ID_FLAG;
  properties.content_type =
      bytes_of(record.is_json ? "application/json" : "application/octet-stream");
  properties.delivery_mode = message.persistent ? kPersistent : 1;
  properties.timestamp = static_cast<std::uint64_t>(record.received_ms / 1000);
  properties.app_id = bytes_of("iotcore");
  if (is_short_text(record.delivery_id)) {
    properties._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
    properties.message_id = bytes_of(record.delivery_id);
  }
  std::vector<amqp_table_entry_t> headers;
  for (const auto& [name, value] : message.headers) {
    amqp_table_entry_t& header = headers.emplace_back();
    header.key = bytes_of(name);
    header.value.kind = AMQP_FIELD_KIND_UTF8;
    header.value.value.bytes = bytes_of(value);
  }
  if (!headers.empty()) {
    properties._flags |= AMQP_BASIC_HEADERS_FLAG;
    properties.headers = {static_cast<int>(headers.size()), headers.data()};
  }
  return check_status(
      amqp_basic_publish(
          connection_.get(),
          kChannel,
          bytes_of(message.exchange),
          bytes_of(message.routing_key),
          message.mandatory ? 1 : 0,
          0,
          &properties,
          bytes_of(record.payload)
      ),
      "publish"
  );
}

Status AmqpSink::publish_all(Batch& batch) {
  first_tag_ = next_tag_;
  for (std::size_t i = 0; i < batch.records.size(); ++i) {
    Result<AmqpMessage> message = message_of(*batch.records[i]);
    if (message && (!is_short_text(message->exchange) || !is_short_text(message->routing_key))) {
      message = fail(Errc::kInvalidRequest, "exchange and routing key may have 255 bytes");
    }
    if (!message) {
      batch.outcomes[i] = Outcome::permanent(message.error().message());
      continue;
    }
    IOTCORE_TRY(publish(*batch.records[i], *message));
    batch.record_of.push_back(i);
    batch.confirmed.push_back(false);
    batch.exchanges.push_back(std::move(message->exchange));
    ++batch.waiting;
    ++next_tag_;
  }
  return {};
}

void AmqpSink::confirm(Batch& batch, std::uint64_t tag, bool multiple, bool taken) {
  // 0 with `multiple`: all of them. What the broker says beyond our tags means nothing.
  const std::uint64_t from = multiple ? first_tag_ : std::max(tag, first_tag_);
  const std::uint64_t last = first_tag_ + batch.confirmed.size() - 1;
  const std::uint64_t to = multiple && tag == 0 ? last : std::min(tag, last);
  for (std::uint64_t each = from; each <= to; ++each) {
    if (batch.confirmed[each - first_tag_]) {
      continue;
    }
    batch.confirmed[each - first_tag_] = true;
    --batch.waiting;
    Outcome& outcome = batch.outcomes[batch.record_of[each - first_tag_]];
    if (!taken && outcome.kind == Outcome::Kind::kDelivered) {
      outcome = Outcome::retry("AMQP: the broker could not take the message");
    }
  }
}

Status AmqpSink::take_returned(Batch& batch, const amqp_basic_return_t& returned) {
  const std::string reason = fmt::format(
      "AMQP: {} (exchange '{}', routing key '{}')",
      text_of(returned.reply_text),
      text_of(returned.exchange),
      text_of(returned.routing_key)
  );
  amqp_message_t message;
  IOTCORE_TRY(check(amqp_read_message(connection_.get(), kChannel, &message, 0), "returned message")
  );
  const std::string id = text_of(message.properties.message_id);
  amqp_destroy_message(&message);
  for (std::size_t i = 0; i < batch.records.size(); ++i) {
    if (batch.records[i]->delivery_id == id) {
      batch.outcomes[i] = Outcome::permanent(reason);
    }
  }
  return {};
}

Status AmqpSink::take_closed(Batch& batch, std::uint16_t code, const std::string& text) {
  // What exactly was wrong is in the text: "NOT_FOUND - no exchange 'x' in vhost '/'".
  for (std::size_t i = 0; i < batch.confirmed.size(); ++i) {
    const bool is_its = text.find("'" + batch.exchanges[i] + "'") != std::string::npos;
    Outcome& outcome = batch.outcomes[batch.record_of[i]];
    if (!batch.confirmed[i] && is_its && outcome.kind == Outcome::Kind::kDelivered &&
        (code == kNotFound || code == kAccessRefused || code == kPreconditionFailed)) {
      outcome = Outcome::permanent("AMQP: " + text);
    }
  }
  return fail(Errc::kUnavailable, "AMQP: " + text);
}

Status AmqpSink::take_frame(Batch& batch, const amqp_frame_t& frame) {
  if (frame.frame_type != AMQP_FRAME_METHOD) {
    return {};
  }
  void* decoded = frame.payload.method.decoded;
  switch (frame.payload.method.id) {
    case AMQP_BASIC_ACK_METHOD: {
      const auto* ack = static_cast<amqp_basic_ack_t*>(decoded);
      confirm(batch, ack->delivery_tag, ack->multiple != 0, true);
      return {};
    }
    case AMQP_BASIC_NACK_METHOD: {
      const auto* nack = static_cast<amqp_basic_nack_t*>(decoded);
      confirm(batch, nack->delivery_tag, nack->multiple != 0, false);
      return {};
    }
    case AMQP_BASIC_RETURN_METHOD:
      return take_returned(batch, *static_cast<amqp_basic_return_t*>(decoded));
    case AMQP_CHANNEL_CLOSE_METHOD: {
      const auto* closed = static_cast<amqp_channel_close_t*>(decoded);
      return take_closed(batch, closed->reply_code, text_of(closed->reply_text));
    }
    case AMQP_CONNECTION_CLOSE_METHOD: {
      const auto* closed = static_cast<amqp_connection_close_t*>(decoded);
      return take_closed(batch, closed->reply_code, text_of(closed->reply_text));
    }
    default:
      return {};
  }
}

Status AmqpSink::take_confirms(Batch& batch) {
  const SystemClock clock;
  const MonotonicTime deadline = clock.now() + timeout_;
  while (batch.waiting > 0) {
    const auto left = std::max(
        std::chrono::milliseconds(1),
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock.now())
    );
    const timeval limit = timeval_of(left);
    amqp_frame_t frame;
    IOTCORE_TRY(check_status(
        amqp_simple_wait_frame_noblock(connection_.get(), &frame, &limit), "confirmation"
    ));
    IOTCORE_TRY(take_frame(batch, frame));
    amqp_maybe_release_buffers(connection_.get());
  }
  return {};
}

void AmqpSink::deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  Batch now{batch, outcomes, {}, {}, 0, {}};
  Status done = ensure_open();
  if (done) {
    done = publish_all(now);
  }
  if (done) {
    done = take_confirms(now);
  }
  if (done) {
    return;
  }
  connection_.reset();
  std::vector<bool> confirmed(batch.size());
  for (std::size_t i = 0; i < now.record_of.size(); ++i) {
    confirmed[now.record_of[i]] = now.confirmed[i];
  }
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (outcomes[i].kind == Outcome::Kind::kDelivered && !confirmed[i]) {
      outcomes[i] = Outcome::retry(done.error().message());
    }
  }
}

}  // namespace iotcore::rules::actions
