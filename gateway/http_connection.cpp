#include "gateway/http_connection.h"

#include "gateway/worker_gateway.h"

#include <sys/epoll.h>

namespace iotcore::gateway {

HttpConnection::HttpConnection(WorkerGateway& gateway, Arrival& arrival)
    : Connection(gateway, std::move(arrival.stream), *arrival.face),
      number_(gateway.name_http(*this)) {}

HttpConnection::~HttpConnection() {
  gateway_.forget_http(number_);
}

void HttpConnection::start(Arrival arrival) {
  peer_ = std::move(arrival.peer);
  in_ = std::move(arrival.bytes);
  gateway_.loop().add(stream_.fd(), *this);
  if (stream_.is_tls()) {
    gateway_.loop().again(*this);  // OpenSSL may hold bytes of which epoll knows nothing
  }
  parse();
}

void HttpConnection::on_io(std::uint32_t events) {
  const bool reset = (events & (EPOLLHUP | EPOLLERR)) != 0;
  hung_up_ = hung_up_ || reset || (events & EPOLLRDHUP) != 0;
  const bool input = (events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0;
  if ((events & EPOLLOUT) != 0 && out_at_ < out_.size()) {
    write();
  }
  switch (state_) {
    case State::kReading:
      if (input) {
        read();
      }
      break;
    case State::kHandling:
    case State::kClosing:
      unread_ = unread_ || input;
      if (reset) {
        end();
      }
      break;
    case State::kLingering:
      discard_input();
      break;
    case State::kGone:
      break;
  }
}

void HttpConnection::read() {
  if (!in_.empty() && !parser_) {
    parse();  // what came behind the request before
    if (state_ == State::kReading && !unread_ && !hung_up_) {
      return;
    }
  }
  while (state_ == State::kReading) {
    const std::span<char> buffer = gateway_.loop().read_buffer();
    const net::ReadResult result = stream_.read(buffer);
    if (result.status == net::IoStatus::kWouldBlock) {
      unread_ = false;
      return;
    }
    if (result.status != net::IoStatus::kOk) {
      end();
      return;
    }
    gateway_.counters().bytes_in.add(result.bytes);
    unread_ = !result.drained || hung_up_;
    in_.append(buffer.data(), result.bytes);
    parse();
    if (!unread_) {
      return;
    }
  }
}

void HttpConnection::parse() {
  if (in_.empty()) {
    if (!parser_) {
      set_deadline_in(gateway_.limits().http_idle_timeout);
    }
    return;
  }
  if (!parser_) {
    parser_.emplace(net::HttpLimits{
        gateway_.limits().http_header_bytes_max, gateway_.limits().http_body_bytes_max});
    continued_ = false;
    head_only_ = false;
    set_deadline_in(gateway_.limits().http_request_timeout);
  }
  const Result<std::size_t> taken = parser_->put(in_);
  if (!taken) {
    refuse(taken.error());
    return;
  }
  in_.erase(0, *taken);
  if (parser_->done()) {
    keep_alive_ = parser_->keep_alive() && !gateway_.shutting_down();
    net::HttpRequest request = parser_->take();
    parser_.reset();
    on_request(std::move(request));
  } else if (parser_->head_done() && !continued_ && parser_->expects_continue()) {
    continued_ = true;
    out_ += "HTTP/1.1 100 Continue\r\n\r\n";
    write();
  }
}

void HttpConnection::on_request(net::HttpRequest request) {
  state_ = State::kHandling;
  ++request_;
  head_only_ = request.method == "HEAD";
  set_deadline_in(gateway_.limits().http_reply_timeout);
  const FaceConfig& face = face_->config;
  if (!face.websocket_path.empty() && net::is_websocket_upgrade(request) &&
      net::split_target(request.target).path == face.websocket_path) {
    start_upgrade(request);
    return;
  }
  face.http->handle(
      std::move(request),
      peer_,
      [&gateway = gateway_, number = number_, request_number = request_](net::HttpResponse response
      ) {
        auto moved = std::make_unique<net::HttpResponse>(std::move(response));
        gateway.loop().post([&gateway, number, request_number, response_moved = std::move(moved)] {
          if (HttpConnection* connection = gateway.find_http(number); connection != nullptr) {
            connection->on_reply(request_number, std::move(*response_moved));
          }
        });
      }
  );
}

void HttpConnection::start_upgrade(const net::HttpRequest& request) {
  Result<net::HttpResponse> accepted = net::accept_websocket(request);
  if (!accepted) {
    refuse(accepted.error());
    return;
  }
  if (accepted->status != 101) {
    respond(*accepted);
    return;
  }
  upgrade_ = std::make_unique<net::HttpResponse>(std::move(*accepted));
  auto evidence = peer_.evidence ? std::make_shared<broker::PeerEvidence>(*peer_.evidence)
                                 : std::make_shared<broker::PeerEvidence>();
  evidence->query = net::split_target(request.target).query;
  evidence->headers.assign(request.headers.begin(), request.headers.end());
  peer_.evidence = std::move(evidence);
  face_->config.http->authorize_websocket(
      request,
      peer_,
      [&gateway = gateway_,
       number = number_,
       request_number = request_](Result<broker::PeerIdentity> answer) {
        auto moved = std::make_unique<Result<broker::PeerIdentity>>(std::move(answer));
        gateway.loop().post([&gateway, number, request_number, answer_moved = std::move(moved)] {
          if (HttpConnection* connection = gateway.find_http(number); connection != nullptr) {
            connection->on_upgrade_answer(request_number, std::move(*answer_moved));
          }
        });
      }
  );
}

void HttpConnection::on_reply(std::uint64_t request, net::HttpResponse response) {
  if (state_ == State::kHandling && request == request_ && !upgrade_) {
    respond(response);
  }
}

void HttpConnection::on_upgrade_answer(std::uint64_t request, Result<broker::PeerIdentity> answer) {
  if (state_ != State::kHandling || request != request_ || !upgrade_) {
    return;
  }
  if (!answer) {
    upgrade_.reset();
    respond(face_->config.http->error_response(answer.error()));
    return;
  }
  become_mqtt(std::move(*answer));
}

void HttpConnection::become_mqtt(broker::PeerIdentity peer) {
  Arrival arrival;
  arrival.face = face_;
  arrival.peer = std::move(peer);
  arrival.websocket =
      std::make_unique<net::WebSocketState>(gateway_.limits().websocket_frame_bytes_max);
  arrival.websocket->out =
      out_.substr(out_at_) +
      net::write_response(*upgrade_, true, false, gateway_.loop().clock().wall());
  std::string replies;
  in_.resize(arrival.websocket->decoder.decode(in_, replies));
  arrival.websocket->out += replies;
  arrival.bytes = std::move(in_);
  state_ = State::kGone;
  gateway_.loop().remove(stream_.fd(), *this);
  arrival.stream = std::move(stream_);
  gateway_.forget_http(number_);
  gateway_.retire(*this);
  gateway_.start_incoming(std::move(arrival));
}

void HttpConnection::refuse(const Error& error) {
  parser_.reset();
  in_.clear();
  keep_alive_ = false;
  ++request_;
  respond(face_->config.http->error_response(error));
}

void HttpConnection::respond(const net::HttpResponse& response) {
  keep_alive_ = keep_alive_ && !gateway_.shutting_down();
  state_ = keep_alive_ ? State::kHandling : State::kClosing;
  responded_ = true;
  out_ += net::write_response(response, keep_alive_, head_only_, gateway_.loop().clock().wall());
  set_deadline_in(gateway_.limits().write_stall_timeout);
  write();
}

void HttpConnection::write() {
  const net::WriteResult result = stream_.write(std::string_view(out_).substr(out_at_));
  gateway_.counters().bytes_out.add(result.bytes);
  out_at_ += result.bytes;
  switch (result.status) {
    case net::IoStatus::kOk:
      out_ = std::string();
      out_at_ = 0;
      on_written_all();
      break;
    case net::IoStatus::kWouldBlock:
      if (!watching_writable_) {
        watching_writable_ = true;
        gateway_.loop().watch_writable(stream_.fd(), *this);
      }
      if (result.bytes != 0) {
        set_deadline_in(gateway_.limits().write_stall_timeout);
      }
      break;
    case net::IoStatus::kClosed:
    case net::IoStatus::kError:
      end();
      break;
  }
}

void HttpConnection::on_written_all() {
  if (state_ == State::kClosing) {
    if (hung_up_) {
      end();
    } else {
      linger();
    }
    return;
  }
  if (state_ != State::kHandling || !responded_) {
    return;
  }
  responded_ = false;
  state_ = State::kReading;
  if (in_.empty()) {
    set_deadline_in(gateway_.limits().http_idle_timeout);
  }
  if (!in_.empty() || unread_ || hung_up_) {
    // In a turn of its own, so that pipelined requests neither recurse nor starve others.
    gateway_.loop().again(*this);
  }
}

void HttpConnection::linger() {
  state_ = State::kLingering;
  stream_.shutdown_write();
  set_deadline_in(gateway_.limits().linger_timeout);
  discard_input();
}

void HttpConnection::discard_input() {
  while (true) {
    const net::ReadResult result = stream_.read_raw(gateway_.loop().read_buffer());
    if (result.status == net::IoStatus::kWouldBlock) {
      return;
    }
    if (result.status != net::IoStatus::kOk) {
      end();
      return;
    }
  }
}

void HttpConnection::end() {
  state_ = State::kGone;
  gateway_.forget_http(number_);
  gateway_.bury(*this);
}

void HttpConnection::set_deadline_in(Duration duration) {
  gateway_.set_deadline(*this, gateway_.loop().turn_time() + duration);
}

void HttpConnection::on_deadline() {
  const bool responding = out_at_ < out_.size();
  if (state_ == State::kHandling && !responding) {
    upgrade_.reset();
    refuse(Error(Errc::kTimeout, "the server did not answer this request in time"));
  } else if (state_ == State::kReading && parser_) {
    refuse(Error(Errc::kTimeout, "the request did not arrive in time"));
  } else if (state_ != State::kGone) {
    end();
  }
}

void HttpConnection::on_shutdown() {
  if (state_ == State::kReading) {
    end();
  }
}

}  // namespace iotcore::gateway
