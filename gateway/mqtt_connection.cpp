#include "gateway/mqtt_connection.h"

#include "base/check.h"
#include "base/memory_use.h"
#include "gateway/worker_gateway.h"
#include "net/socket.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sys/epoll.h>

namespace iotcore::gateway {
namespace {

// Up to here, what was kept is copied to the front of the shared buffer and read on behind; above, it would be cheaper to read straight
// behind where it lies.
constexpr std::size_t kCopyKeptMax = 16 * 1024;
constexpr std::size_t kKeptReadBytes = 64 * 1024;
// An unfinished packet above this ends its connection while memory is full: thousands of peers that finish none must not fill it.
constexpr std::size_t kKeptWhenFullMax = 4 * 1024;
// How much output is framed at a time, so that the broker still sees in Link::out() what waits.
constexpr std::size_t kWebSocketChunk = 64 * 1024;
// A peer that pings without reading the answers is no longer answered (RFC 6455 5.5.3 asks for the latest only).
constexpr std::size_t kWebSocketRepliesMax = 64 * 1024;

}  // namespace

struct MqttConnection::Kept {
  std::size_t size;
  std::size_t capacity;

  char* bytes() { return reinterpret_cast<char*>(this + 1); }

  std::string_view view() { return {bytes(), size}; }

  std::int64_t memory() const { return static_cast<std::int64_t>(sizeof(Kept) + capacity); }
};

void MqttConnection::KeptDeleter::operator()(Kept* kept) const {
  MemoryUse::add(-kept->memory());
  std::free(kept);
}

MqttConnection::MqttConnection(WorkerGateway& gateway, Arrival& arrival)
    : Connection(gateway, std::move(arrival.stream), *arrival.face),
      websocket_(std::move(arrival.websocket)) {}

MqttConnection::~MqttConnection() {
  if (life_ != nullptr) {
    gateway_.loop().timers().cancel(life_->timer);
  }
}

void MqttConnection::start(broker::PeerIdentity peer, std::string_view bytes) {
  gateway_.loop().add(stream_.fd(), *this);
  if (peer.evidence && peer.evidence->session_end) {
    close_at(peer.evidence->session_end->at, peer.evidence->session_end->reason);
  }
  client_ = gateway_.clients().make(gateway_.id(), *this, std::move(peer), websocket_ != nullptr);
  if (websocket_ && !websocket_->out.empty()) {
    flush_soon();
  }
  on_read(bytes, false);
  if (stream_.is_tls() && state_ != State::kGone) {
    request_read();  // OpenSSL may hold bytes of which epoll knows nothing
  }
}

void MqttConnection::close(broker::CloseReason reason) {
  if (state_ != State::kOpen) {
    return;
  }
  state_ = State::kClosing;
  reason_ = reason;
  flush_soon();
}

void MqttConnection::set_reading(bool on) {
  if (reading_ == on) {
    return;
  }
  reading_ = on;
  if (on) {
    offer_kept_ = kept_ != nullptr;
    request_read();
  }
}

void MqttConnection::close_at(MonotonicTime at, broker::CloseReason reason) {
  if (life_ == nullptr) {
    life_ = std::make_unique<Life>();
  }
  if (at >= life_->ends) {
    return;
  }
  life_->ends = at;
  gateway_.loop().timers().cancel(life_->timer);
  life_->timer = gateway_.loop().timers().schedule(at, [this, reason] { on_life_over(reason); });
}

broker::LinkAddress MqttConnection::local_address() const {
  net::PeerAddress address = net::local_address(stream_.fd());
  return {std::move(address.ip), address.port};
}

void MqttConnection::on_life_over(broker::CloseReason reason) {
  if (state_ == State::kOpen) {
    state_ = State::kClosing;
    reason_ = reason;
    kept_.reset();
    end_client(reason_);  // which may leave a last packet in out()
    flush_soon();
  }
}

void MqttConnection::queue_flush() {
  gateway_.queue_flush(*this);
  gateway_.on_late_work();
}

void MqttConnection::queue_early_flush() {
  gateway_.queue_early_flush(*this);
}

void MqttConnection::flush_early() {
  early_flush_queued_ = false;
  if (state_ == State::kOpen && !stalled_) {
    write_out();
  }
}

void MqttConnection::request_read() {
  // Who has gone while it was read is not known to the loop any more.
  if (!read_requested_ && state_ != State::kGone) {
    read_requested_ = true;
    gateway_.loop().again(*this);
  }
}

void MqttConnection::on_io(std::uint32_t events) {
  read_requested_ = false;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
    hung_up_ = true;
  }
  if ((events & EPOLLOUT) != 0 && stalled_) {
    flush_soon();
  }
  if (state_ == State::kOpen && is_sent()) {
    client_->on_sent();
  }
  if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) == 0) {
    return;
  }
  const bool reset = (events & (EPOLLHUP | EPOLLERR)) != 0;
  switch (state_) {
    case State::kOpen:
      if (reset && !reading_) {
        on_lost(broker::CloseReason::kConnectionLost);
      } else {
        read();
        gateway_.flush_early();
      }
      break;
    case State::kClosing:
      if (reset) {
        on_lost(reason_);
      }
      break;
    case State::kLingering:
      discard_input();
      break;
    case State::kGone:
      break;
  }
}

void MqttConnection::read() {
  if (offer_kept_ && reading_) {
    offer_kept_ = false;
    if (kept_) {
      on_read(kept_->view(), true);
    }
  }
  while (state_ == State::kOpen && reading_) {
    if (!read_once()) {
      return;
    }
    if (!hung_up_) {
      // A whole buffer came; others are waiting too.
      request_read();
      return;
    }
  }
}

bool MqttConnection::read_once() {
  std::span<char> buffer = gateway_.loop().read_buffer();
  std::size_t before = 0;
  const bool into_kept = kept_ && kept_->size > kCopyKeptMax;
  if (into_kept) {
    // Room that is made and then not filled would be no reason to close the connection any more.
    if (kept_->capacity - kept_->size < kKeptReadBytes &&
        MemoryUse::level() == MemoryUse::Level::kFull) {
      on_lost(broker::CloseReason::kThrottled);
      return false;
    }
    buffer = reserve_kept(kKeptReadBytes);
  } else if (kept_) {
    before = kept_->size;
    std::memcpy(buffer.data(), kept_->bytes(), before);
  }
  const net::ReadResult result = stream_.read(buffer.subspan(before));
  switch (result.status) {
    case net::IoStatus::kOk:
      break;
    case net::IoStatus::kWouldBlock:
      return false;
    case net::IoStatus::kClosed:
    case net::IoStatus::kError:
      on_lost(broker::CloseReason::kConnectionLost);
      return false;
  }
  gateway_.counters().bytes_in.add(result.bytes);
  std::size_t bytes = result.bytes;
  const bool goes_on = !websocket_ || decode_websocket(buffer.subspan(before, bytes), bytes);
  if (into_kept) {
    kept_->size += bytes;
    on_read(kept_->view(), true);
  } else if (bytes != 0) {
    on_read({buffer.data(), before + bytes}, false);
  }
  if (!goes_on && state_ == State::kOpen) {
    // A close frame without a DISCONNECT before it is a lost connection to MQTT, but not to AWS; the frame is still answered.
    state_ = State::kClosing;
    reason_ = gateway_.limits().websocket_close_disconnects && websocket_->decoder.peer_closed()
                  ? broker::CloseReason::kClientDisconnect
                  : broker::CloseReason::kConnectionLost;
    flush_soon();
  }
  return !result.drained || hung_up_;
}

bool MqttConnection::decode_websocket(std::span<char> wire, std::size_t& payload_bytes) {
  std::string replies;
  payload_bytes = websocket_->decoder.decode(wire, replies);
  if (!replies.empty()) {
    if (websocket_->decoder.closed()) {
      websocket_->close_sent = true;
    }
    if (websocket_->out.size() < kWebSocketRepliesMax) {
      websocket_->out += replies;
      flush_soon();
    }
  }
  return !websocket_->decoder.closed();
}

void MqttConnection::on_read(std::string_view bytes, bool bytes_are_kept) {
  const std::size_t taken = bytes.empty() ? 0 : client_->on_bytes(bytes);
  if (state_ != State::kOpen) {
    kept_.reset();
    return;
  }
  IOTCORE_DCHECK(taken <= bytes.size());
  const std::string_view rest = bytes.substr(taken);
  if (rest.empty()) {
    kept_.reset();
  } else if (bytes_are_kept) {
    std::memmove(kept_->bytes(), rest.data(), rest.size());
    kept_->size = rest.size();
  } else {
    keep(rest);
  }
  if (kept_ && kept_->size > kKeptWhenFullMax && MemoryUse::level() == MemoryUse::Level::kFull) {
    on_lost(broker::CloseReason::kThrottled);
  }
}

void MqttConnection::keep(std::string_view bytes) {
  if (!kept_ || kept_->capacity < bytes.size()) {
    auto* fresh = static_cast<Kept*>(std::malloc(sizeof(Kept) + bytes.size()));
    if (fresh == nullptr) {
      throw std::bad_alloc();
    }
    fresh->capacity = bytes.size();
    kept_.reset(fresh);
    MemoryUse::add(kept_->memory());
  }
  kept_->size = bytes.size();
  std::memcpy(kept_->bytes(), bytes.data(), bytes.size());
}

std::span<char> MqttConnection::reserve_kept(std::size_t bytes) {
  if (kept_->capacity - kept_->size < bytes) {
    const std::size_t capacity = std::max(kept_->size + bytes, kept_->capacity * 2);
    MemoryUse::add(static_cast<std::int64_t>(capacity - kept_->capacity));
    void* grown = std::realloc(kept_.get(), sizeof(Kept) + capacity);
    if (grown == nullptr) {
      throw std::bad_alloc();
    }
    static_cast<void>(kept_.release());
    kept_.reset(static_cast<Kept*>(grown));
    kept_->capacity = capacity;
  }
  return {kept_->bytes() + kept_->size, kept_->capacity - kept_->size};
}

void MqttConnection::flush() {
  flush_queued_ = false;
  early_flush_queued_ = false;
  if (state_ == State::kGone || state_ == State::kLingering) {
    return;
  }
  if (!write_out()) {
    return;
  }
  if (state_ != State::kClosing) {
    if (tell_when_sent_) {
      request_read();  // in the next turn, so that others come in between
    }
    return;
  }
  end_client(reason_);
  if (reason_ == broker::CloseReason::kClientDisconnect || hung_up_) {
    state_ = State::kGone;
    gateway_.bury(*this);
  } else {
    linger();
  }
}

bool MqttConnection::write_out() {
  if (websocket_) {
    return write_websocket();
  }
  if (out_.empty()) {
    return true;
  }
  const net::WriteResult result = stream_.write(out_.view());
  out_.consume(result.bytes);
  if (result.status == net::IoStatus::kWouldBlock) {
    out_.own();
  }
  return on_written(result);
}

bool MqttConnection::write_websocket() {
  net::WebSocketState& ws = *websocket_;
  while (true) {
    if (ws.out.empty() && !out_.empty() && !ws.close_sent) {
      const std::size_t chunk = std::min(out_.size(), kWebSocketChunk);
      net::append_frame_header(ws.out, net::WebSocketOpcode::kBinary, chunk);
      ws.out.append(out_.view().substr(0, chunk));
      out_.consume(chunk);
    } else if (ws.out.empty() && state_ == State::kClosing && !ws.close_sent) {
      ws.close_sent = true;
      net::append_close_frame(ws.out, net::WebSocketClose::kNormal);
    }
    if (ws.out.empty()) {
      return true;
    }
    const net::WriteResult result = stream_.write(std::string_view(ws.out).substr(ws.out_at));
    ws.out_at += result.bytes;
    if (ws.out_at == ws.out.size()) {
      ws.out = std::string();
      ws.out_at = 0;
    }
    if (!on_written(result)) {
      return false;
    }
  }
}

bool MqttConnection::on_written(const net::WriteResult& result) {
  gateway_.counters().bytes_out.add(result.bytes);
  switch (result.status) {
    case net::IoStatus::kOk:
      if (stalled_) {
        stalled_ = false;
        gateway_.clear_deadline(*this);
      }
      return true;
    case net::IoStatus::kWouldBlock:
      if (!stalled_ || result.bytes != 0) {
        wait_for_room();
      }
      return false;
    case net::IoStatus::kClosed:
    case net::IoStatus::kError:
      break;
  }
  on_lost(state_ == State::kClosing ? reason_ : broker::CloseReason::kConnectionLost);
  return false;
}

void MqttConnection::wait_for_room() {
  stalled_ = true;
  gateway_.set_deadline(*this, gateway_.loop().turn_time() + gateway_.limits().write_stall_timeout);
  if (!watching_writable_) {
    watching_writable_ = true;
    gateway_.loop().watch_writable(stream_.fd(), *this);
  }
}

void MqttConnection::end_client(broker::CloseReason reason) {
  if (const std::unique_ptr<broker::Client> client = std::move(client_); client) {
    gateway_.on_closed(reason);
    client->on_closed(reason);
    gateway_.on_late_work();
  }
}

void MqttConnection::on_lost(broker::CloseReason reason) {
  state_ = State::kGone;
  end_client(reason);
  gateway_.bury(*this);
}

void MqttConnection::linger() {
  state_ = State::kLingering;
  stream_.shutdown_write();
  gateway_.set_deadline(*this, gateway_.loop().turn_time() + gateway_.limits().linger_timeout);
  discard_input();
}

void MqttConnection::discard_input() {
  // Closing with unread input would make the kernel send a reset, which can overtake our last packet.
  while (true) {
    const net::ReadResult result = stream_.read_raw(gateway_.loop().read_buffer());
    if (result.status == net::IoStatus::kWouldBlock) {
      return;
    }
    if (result.status != net::IoStatus::kOk) {
      state_ = State::kGone;
      gateway_.bury(*this);
      return;
    }
  }
}

void MqttConnection::on_deadline() {
  if (state_ == State::kLingering) {
    state_ = State::kGone;
    gateway_.bury(*this);
  } else if (state_ != State::kGone) {
    on_lost(state_ == State::kClosing ? reason_ : broker::CloseReason::kSlowReceiver);
  }
}

void MqttConnection::on_shutdown() {
  on_life_over(broker::CloseReason::kServerShutdown);
}

}  // namespace iotcore::gateway
