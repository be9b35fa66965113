#include "functions/runtime_connection.h"

#include "functions/definition.h"

#include <utility>

namespace iotcore::functions {
namespace {

// A head may bring a cause of failure in a field of its own. A body that is too large is read to its end, so that the process can be told.
constexpr net::HttpLimits kLimits = {
    .header_bytes_max = 2U << 20, .body_bytes_max = 4 * kPayloadBytesMax};

}  // namespace

RuntimeConnection::RuntimeConnection(net::EventLoop& loop, net::UniqueFd socket, Events events)
    : loop_(loop), stream_(std::move(socket)), events_(std::move(events)) {
  parser_.emplace(kLimits);
  loop_.add(stream_.fd(), *this);
}

RuntimeConnection::~RuntimeConnection() {
  if (!is_closed_) {
    loop_.forget(*this);
  }
}

void RuntimeConnection::on_io(std::uint32_t /*events*/) {
  if (!is_closed_) {
    write();
  }
  if (!is_closed_) {
    read();
  }
}

void RuntimeConnection::read() {
  for (;;) {
    const net::ReadResult got = stream_.read(loop_.read_buffer());
    if (got.bytes > 0) {
      input_.append(loop_.read_buffer().data(), got.bytes);
      parse();
      if (is_closed_) {
        return;
      }
    }
    if (got.status == net::IoStatus::kWouldBlock) {
      return;
    }
    if (got.status != net::IoStatus::kOk) {
      close();
      return;
    }
  }
}

void RuntimeConnection::parse() {
  // What comes before the answer waits; nobody who keeps to HTTP sends much of it.
  constexpr std::size_t kAheadBytesMax = 64U << 10;
  if (is_answering_) {
    if (input_.size() > kAheadBytesMax) {
      close();
    }
    return;
  }
  const Result<std::size_t> taken = parser_->put(input_);
  if (!taken) {
    close();
    return;
  }
  input_.erase(0, *taken);
  if (parser_->head_done() && !parser_->done() && parser_->expects_continue() &&
      !std::exchange(has_said_continue_, true)) {
    output_ += "HTTP/1.1 100 Continue\r\n\r\n";
    write();
  }
  if (is_closed_ || !parser_->done()) {
    return;
  }
  keep_alive_ = parser_->keep_alive();
  net::HttpRequest request = parser_->take();
  parser_.emplace(kLimits);
  is_answering_ = true;
  has_said_continue_ = false;
  events_.on_request(*this, std::move(request));
}

void RuntimeConnection::reply(const net::HttpResponse& response) {
  if (is_closed_) {
    return;
  }
  output_ += net::write_response(response, keep_alive_, false, loop_.clock().wall());
  is_answering_ = false;
  write();
  if (!is_closed_ && !input_.empty()) {
    parse();
  }
}

void RuntimeConnection::write() {
  while (written_ < output_.size()) {
    const net::WriteResult sent = stream_.write(std::string_view(output_).substr(written_));
    written_ += sent.bytes;
    if (sent.status == net::IoStatus::kWouldBlock) {
      if (!watches_writable_) {
        watches_writable_ = true;
        loop_.watch_writable(stream_.fd(), *this);
      }
      return;
    }
    if (sent.status != net::IoStatus::kOk) {
      close();
      return;
    }
  }
  output_.clear();
  written_ = 0;
  if (!keep_alive_ && !is_answering_) {
    close();
  }
}

void RuntimeConnection::close() {
  if (is_closed_) {
    return;
  }
  is_closed_ = true;
  loop_.forget(*this);
  stream_.close();
  events_.on_closed(*this);
}

}  // namespace iotcore::functions
