#include "gateway/incoming_connection.h"

#include "base/log.h"
#include "base/memory_use.h"
#include "broker/workers.h"
#include "gateway/worker_gateway.h"

#include <sys/epoll.h>

namespace iotcore::gateway {
namespace {

// The first byte of every CONNECT (MQTT5 3.1.1); no HTTP method begins with it.
constexpr char kMqttConnect = 0x10;
// More than this is not waited for while memory is full.
constexpr std::size_t kUnfinishedWhenFullMax = 4 * 1024;

}  // namespace

IncomingConnection::IncomingConnection(WorkerGateway& gateway, Arrival arrival)
    : Connection(gateway, std::move(arrival.stream), *arrival.face),
      arrival_(std::move(arrival)),
      handshaking_(stream_.is_tls() && !arrival_.websocket) {
  if (face_->config.proxy_protocol && !arrival_.websocket) {
    proxy_ = std::make_unique<net::ProxyHeaderDecoder>();
  }
  if (arrival_.websocket) {
    protocol_ = Protocol::kMqtt;
  } else if (face_->config.http == nullptr) {
    protocol_ = Protocol::kMqtt;
  } else if (!face_->config.mqtt) {
    protocol_ = Protocol::kHttp;
  }
}

IncomingConnection::~IncomingConnection() {
  MemoryUse::add(-counted_bytes_);
}

void IncomingConnection::start() {
  if (handshaking_) {
    gateway_.set_deadline(
        *this, gateway_.loop().turn_time() + face_->config.limits.handshake_timeout
    );
  } else {
    set_connect_deadline();
  }
  gateway_.loop().add(stream_.fd(), *this);
  if (arrival_.websocket) {
    write_websocket();
    if (!gone_ && !arrival_.bytes.empty()) {
      look_at(arrival_.bytes);
    }
    if (!gone_ && stream_.is_tls()) {
      gateway_.loop().again(*this);  // OpenSSL may hold bytes of which epoll knows nothing
    }
  }
}

void IncomingConnection::set_connect_deadline() {
  const std::chrono::milliseconds own = face_->config.limits.connect_timeout;
  const std::chrono::milliseconds wait = own.count() != 0 ? own : gateway_.limits().connect_timeout;
  gateway_.set_deadline(*this, gateway_.loop().turn_time() + wait);
}

bool IncomingConnection::read_proxy_header() {
  while (proxy_->wanted() > 0) {
    const std::span<char> buffer = gateway_.loop().read_buffer().first(proxy_->wanted());
    const net::ReadResult result = stream_.read_raw(buffer);
    if (result.status == net::IoStatus::kWouldBlock) {
      return false;
    }
    const bool fine = result.status == net::IoStatus::kOk &&
                      proxy_->put({buffer.data(), result.bytes}).has_value();
    if (!fine) {
      gateway_.counters().proxy_refused.add();
      end();
      return false;
    }
  }
  if (const std::optional<net::PeerAddress>& source = proxy_->source()) {
    arrival_.peer.source_ip = source->ip;
    arrival_.peer.source_port = source->port;
  }
  proxy_.reset();
  return true;
}

void IncomingConnection::queue_handshake() {
  if (!handshake_queued_) {
    handshake_queued_ = true;
    gateway_.queue_handshake(*this);
  }
}

void IncomingConnection::on_io(std::uint32_t events) {
  if (gone_ || (proxy_ && !read_proxy_header())) {
    return;
  }
  if (handshaking_) {
    queue_handshake();
    return;
  }
  if ((events & EPOLLOUT) != 0 && arrival_.websocket) {
    write_websocket();
  }
  if (!gone_ && (events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) {
    read((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
  }
}

void IncomingConnection::continue_handshake() {
  handshake_queued_ = false;
  switch (stream_.handshake()) {
    case net::HandshakeStatus::kDone:
      on_handshake_done();
      break;
    case net::HandshakeStatus::kWouldBlock:
      break;
    case net::HandshakeStatus::kFailed:
      gateway_.counters().handshakes_failed.add();
      if (log_enabled(LogLevel::kDebug)) {
        log(LogLevel::kDebug,
            "tls.handshake_failed",
            {{"face", face_->config.name},
             {"peer", arrival_.peer.source_ip},
             {"error", net::Stream::handshake_error()}});
      }
      end();
      break;
  }
}

void IncomingConnection::on_handshake_done() {
  handshaking_ = false;
  set_connect_deadline();
  gateway_.counters().handshakes_ok.add();
  if (stream_.was_resumed()) {
    gateway_.counters().handshakes_resumed.add();
  }
  broker::PeerIdentity& peer = arrival_.peer;
  peer.server_name = stream_.server_name();
  if (const net::SharedPeerCertificate certificate = stream_.take_peer_certificate()) {
    peer.kind = broker::PeerIdentity::Kind::kCertificate;
    peer.principal = to_hex(as_text(certificate->fingerprint));
    peer.certificate_der = certificate->der;
  }
  const std::string_view alpn = stream_.alpn_protocol();
  if (!alpn.empty()) {
    auto evidence = std::make_shared<broker::PeerEvidence>();
    evidence->alpn_protocol = alpn;
    peer.evidence = std::move(evidence);
  }
  if (protocol_ == Protocol::kUndecided) {
    if (alpn == "x-amzn-mqtt-ca" || alpn == "mqtt") {
      protocol_ = Protocol::kMqtt;
    } else if (alpn == "x-amzn-http-ca") {
      protocol_ = Protocol::kHttp;
    }
  }
  stream_.finish_handshake();
  read(false);
}

void IncomingConnection::read(bool hung_up) {
  while (!gone_) {
    const std::span<char> buffer = gateway_.loop().read_buffer();
    const net::ReadResult result = stream_.read(buffer);
    if (result.status == net::IoStatus::kWouldBlock) {
      return;
    }
    if (result.status != net::IoStatus::kOk) {
      end();
      return;
    }
    gateway_.counters().bytes_in.add(result.bytes);
    std::size_t bytes = result.bytes;
    if (arrival_.websocket && !decode_websocket(buffer.first(bytes), bytes)) {
      end();
      return;
    }
    if (arrival_.bytes.empty()) {
      look_at({buffer.data(), bytes});
    } else {
      arrival_.bytes.append(buffer.data(), bytes);
      look_at(arrival_.bytes);
    }
    if (!gone_ && !count_bytes()) {
      end();
      return;
    }
    if (result.drained && !hung_up) {
      return;
    }
  }
}

bool IncomingConnection::decode_websocket(std::span<char> wire, std::size_t& payload_bytes) {
  payload_bytes = arrival_.websocket->decoder.decode(wire, arrival_.websocket->out);
  write_websocket();
  return !gone_ && !arrival_.websocket->decoder.closed();
}

bool IncomingConnection::count_bytes() {
  const auto bytes = static_cast<std::int64_t>(arrival_.bytes.capacity());
  MemoryUse::add(bytes - counted_bytes_);
  counted_bytes_ = bytes;
  return arrival_.bytes.size() <= kUnfinishedWhenFullMax ||
         MemoryUse::level() != MemoryUse::Level::kFull;
}

void IncomingConnection::write_websocket() {
  net::WebSocketState& ws = *arrival_.websocket;
  if (ws.out.empty()) {
    return;
  }
  const net::WriteResult result = stream_.write(ws.out);
  gateway_.counters().bytes_out.add(result.bytes);
  ws.out.erase(0, result.bytes);
  if (result.status == net::IoStatus::kWouldBlock && ws.out.size() <= kUnsentMax) {
    gateway_.loop().watch_writable(stream_.fd(), *this);
  } else if (result.status != net::IoStatus::kOk) {
    end();
  }
}

void IncomingConnection::look_at(std::string_view bytes) {
  if (bytes.empty()) {
    return;
  }
  if (protocol_ == Protocol::kUndecided) {
    protocol_ = bytes.front() == kMqttConnect ? Protocol::kMqtt : Protocol::kHttp;
  }
  if (protocol_ == Protocol::kHttp) {
    gateway_.start_http(leave(bytes));
  } else {
    look_at_mqtt(bytes);
  }
}

void IncomingConnection::look_at_mqtt(std::string_view bytes) {
  const Result<std::optional<std::string_view>> client_id =
      gateway_.clients().peek_client_id(bytes);
  if (client_id && !*client_id) {
    if (bytes.data() != arrival_.bytes.data()) {
      arrival_.bytes = bytes;
    }
    return;
  }
  // A CONNECT that is wrong, or names nobody, is answered where it is.
  const WorkerId owner =
      client_id && !(*client_id)->empty() ? gateway_.owner_of(**client_id) : gateway_.id();
  gateway_.start_mqtt(leave(bytes), owner);
}

Arrival IncomingConnection::leave(std::string_view bytes) {
  if (bytes.data() != arrival_.bytes.data()) {
    arrival_.bytes = bytes;
  }
  gone_ = true;
  gateway_.loop().remove(stream_.fd(), *this);
  arrival_.stream = std::move(stream_);
  gateway_.retire(*this);
  return std::move(arrival_);
}

void IncomingConnection::end() {
  gone_ = true;
  if (handshake_queued_) {
    gateway_.forget_handshake(*this);
  }
  gateway_.bury(*this);
}

void IncomingConnection::on_deadline() {
  gateway_.counters().connect_timeouts.add();
  if (handshaking_) {
    gateway_.counters().handshakes_failed.add();
  }
  end();
}

void IncomingConnection::on_shutdown() {
  if (!gone_) {
    end();
  }
}

}  // namespace iotcore::gateway
