#include "net/http_client.h"

#include "net/http_reply.h"

#include <array>

namespace iotcore::net {
namespace {

enum class Keep : std::uint8_t { kClose, kAlive };

std::string address_of(const HttpServer& server) {
  return server.host + ":" + std::to_string(server.port);
}

Result<ClientChannel> open(const HttpServer& server, std::chrono::milliseconds timeout) {
  IOTCORE_ASSIGN(
      ClientChannel channel, ClientChannel::open(server.host, server.port, timeout, server.admits)
  );
  if (server.tls) {
    IOTCORE_TRY(channel.start_tls(
        {server.ca_pem, server.certificate_pem, server.private_key_pem, server.verify}
    ));
  }
  return channel;
}

std::string text_of(const HttpRequest& request, const HttpServer& server, Keep keep) {
  std::string text = request.method + " " + request.target + " HTTP/1.1\r\n";
  if (request.headers.find("host") == nullptr) {
    text += "Host: " + host_header(server) + "\r\n";
  }
  for (const auto& [name, value] : request.headers) {
    text += name + ": " + value + "\r\n";
  }
  text += keep == Keep::kClose ? "Connection: close\r\n" : "";
  text += "Content-Length: " + std::to_string(request.body.size()) + "\r\n\r\n";
  return text + request.body;
}

// `answered`: some of an answer has come.
Result<HttpResponse> exchange_over(
    ClientChannel& channel,
    const HttpServer& server,
    const std::string& request,
    HttpReplyParser parser,
    bool& answered
) {
  IOTCORE_TRY(channel.write(request));
  std::array<char, 16'384> chunk;
  while (!parser.done()) {
    IOTCORE_ASSIGN(const std::size_t n, channel.read(chunk.data(), chunk.size()));
    answered = answered || n > 0;
    const Status taken = n == 0 ? parser.put_end() : parser.put({chunk.data(), n});
    if (!taken) {
      return fail(
          Errc::kUnavailable, "the answer of " + address_of(server) + ": " + taken.error().message()
      );
    }
  }
  return parser.take();
}

bool wants_to_close(const HttpResponse& response) {
  const std::string* connection = response.headers.find("connection");
  if (connection != nullptr) {
    return !equal_ignoring_case(*connection, "keep-alive");
  }
  // A body without a length ends with its connection.
  return response.headers.find("content-length") == nullptr &&
         response.headers.find("transfer-encoding") == nullptr && response.status != 204 &&
         response.status != 304;
}

}  // namespace

std::string host_header(const HttpServer& server) {
  const std::string host =
      server.host.find(':') == std::string::npos ? server.host : "[" + server.host + "]";
  const bool usual = server.port == (server.tls ? 443 : 80);
  return usual ? host : host + ":" + std::to_string(server.port);
}

Result<HttpResponse> http_call(
    const HttpServer& server, HttpRequest request, std::chrono::milliseconds timeout
) {
  IOTCORE_ASSIGN(ClientChannel channel, open(server, timeout));
  bool answered = false;
  return exchange_over(
      channel,
      server,
      text_of(request, server, Keep::kClose),
      HttpReplyParser(request.method == "HEAD", kHttpReplyBytesMax),
      answered
  );
}

Result<HttpResponse> HttpConnection::exchange(
    const HttpRequest& request,
    std::chrono::milliseconds timeout,
    std::size_t reply_bytes_max,
    bool& answered
) {
  if (!channel_) {
    IOTCORE_ASSIGN(ClientChannel opened, open(server_, timeout));
    channel_.emplace(std::move(opened));
  }
  channel_->set_deadline(timeout);
  Result<HttpResponse> response = exchange_over(
      *channel_,
      server_,
      text_of(request, server_, Keep::kAlive),
      HttpReplyParser(request.method == "HEAD", reply_bytes_max),
      answered
  );
  if (!response || wants_to_close(*response)) {
    channel_.reset();
  }
  return response;
}

Result<HttpResponse> HttpConnection::call(
    HttpRequest request, std::chrono::milliseconds timeout, std::size_t reply_bytes_max
) {
  if (channel_ && channel_->is_stale()) {
    channel_.reset();
  }
  const bool kept = channel_.has_value();
  bool answered = false;
  Result<HttpResponse> response = exchange(request, timeout, reply_bytes_max, answered);
  if (!response && kept && !answered && response.error().code() == Errc::kUnavailable) {
    return exchange(request, timeout, reply_bytes_max, answered);
  }
  return response;
}

}  // namespace iotcore::net
