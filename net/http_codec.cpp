#include "net/http_codec.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <iterator>

namespace iotcore::net {
namespace http = boost::beast::http;

struct HttpRequestParser::Impl {
  http::request_parser<http::string_body> parser;
  std::size_t header_bytes_max;
};

namespace {

constexpr std::size_t kLastChunkBytes = std::string_view("0\r\n\r\n").size();
constexpr std::string_view kHeadTooLarge = "the request's head is larger than this server takes";

std::string text_of(boost::beast::string_view view) {
  return std::string(view.data(), view.size());
}

// Proxies' absolute form becomes the origin form that everything else expects.
std::string origin_form(boost::beast::string_view target) {
  const std::string_view text(target.data(), target.size());
  const std::size_t scheme = text.find("://");
  if (text.empty() || text.front() == '/' || scheme == std::string_view::npos) {
    return std::string(text);
  }
  const std::size_t path = text.find('/', scheme + 3);
  return path == std::string_view::npos ? "/" : std::string(text.substr(path));
}

bool has_line_break(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

// Where the body ends must be beyond doubt: a proxy in front that sees another end takes what we take for the next request for part of this one. Beast
// takes a transfer coding that it does not know for none, and a list that ends in chunked for chunked (RFC 9112 6.1, 6.3).
Status check_framing(const http::request_header<>& head) {
  const auto codings = head.count(http::field::transfer_encoding);
  if (codings == 0) {
    return head.count(http::field::content_length) <= 1
               ? Status()
               : fail(Errc::kInvalidRequest, "a request has one Content-Length");
  }
  const bool chunked =
      codings == 1 && boost::beast::iequals(head[http::field::transfer_encoding], "chunked");
  if (!chunked || head.version() < 11 || head.count(http::field::content_length) != 0) {
    return fail(
        Errc::kInvalidRequest,
        "a request's Transfer-Encoding can only be chunked, in HTTP/1.1 and without Content-Length"
    );
  }
  return {};
}

Error error_of(const boost::system::error_code& error) {
  if (error == http::error::header_limit) {
    return Error(Errc::kTooLarge, std::string(kHeadTooLarge));
  }
  if (error == http::error::body_limit) {
    return Error(Errc::kTooLarge, "the request's body is larger than this server takes");
  }
  return Error(Errc::kInvalidRequest, "malformed HTTP request: " + error.message());
}

}  // namespace

HttpRequestParser::HttpRequestParser(const HttpLimits& limits) : impl_(std::make_unique<Impl>()) {
  impl_->header_bytes_max = limits.header_bytes_max;
  impl_->parser.header_limit(static_cast<std::uint32_t>(limits.header_bytes_max));
  impl_->parser.body_limit(limits.body_bytes_max);
  impl_->parser.eager(true);
}

HttpRequestParser::~HttpRequestParser() = default;
HttpRequestParser::HttpRequestParser(HttpRequestParser&&) noexcept = default;
HttpRequestParser& HttpRequestParser::operator=(HttpRequestParser&&) noexcept = default;

Result<std::size_t> HttpRequestParser::put(std::string_view bytes) {
  // Beast leaves the request line out of its limit if the whole head comes at once.
  const std::size_t max = impl_->header_bytes_max;
  if (!head_done() && bytes.size() > max &&
      bytes.substr(0, max).find("\r\n\r\n") == std::string_view::npos) {
    return fail(Errc::kTooLarge, std::string(kHeadTooLarge));
  }
  const bool had_head = head_done();
  std::size_t taken = 0;
  while (taken < bytes.size() && !done()) {
    // Beast 1.81 asserts that a last chunk that came without its end is offered again with at least five bytes. Every chunked body ends with
    // five, so waiting for them never waits for ever.
    if (head_done() && impl_->parser.chunked() && bytes.size() - taken < kLastChunkBytes) {
      break;
    }
    boost::system::error_code error;
    const std::size_t n = impl_->parser.put(
        boost::asio::const_buffer(bytes.data() + taken, bytes.size() - taken), error
    );
    taken += n;
    if (error == http::error::need_more) {
      break;
    }
    if (error) {
      return fail(error_of(error));
    }
    if (n == 0) {
      break;
    }
  }
  if (!had_head && head_done()) {
    IOTCORE_TRY(check_framing(impl_->parser.get()));
  }
  if (done() && impl_->parser.get().version() >= 11 &&
      impl_->parser.get().count(http::field::host) != 1) {
    return fail(Errc::kInvalidRequest, "an HTTP/1.1 request needs one Host header");
  }
  return taken;
}

bool HttpRequestParser::head_done() const {
  return impl_->parser.is_header_done();
}

bool HttpRequestParser::done() const {
  return impl_->parser.is_done();
}

bool HttpRequestParser::expects_continue() const {
  const auto& request = impl_->parser.get();
  return request.version() >= 11 &&
         boost::beast::iequals(request[http::field::expect], "100-continue");
}

bool HttpRequestParser::keep_alive() const {
  return impl_->parser.get().keep_alive();
}

HttpRequest HttpRequestParser::take() {
  auto message = impl_->parser.release();
  HttpRequest out;
  out.method = text_of(message.method_string());
  out.target = origin_form(message.target());
  for (const auto& field : message) {
    if (message.version() < 11 && field.name() == http::field::upgrade) {
      continue;  // "MUST ignore" (RFC 9110 7.8); a WebSocket needs HTTP/1.1 (RFC 6455 4.2.1)
    }
    out.headers.add(text_of(field.name_string()), text_of(field.value()));
  }
  out.body = std::move(message.body());
  return out;
}

std::string http_date(WallTime time) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = to_epoch_s(time);
  std::tm parts = {};
  gmtime_r(&seconds, &parts);
  return fmt::format(
      "{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
      kDays[parts.tm_wday],
      parts.tm_mday,
      kMonths[parts.tm_mon],
      parts.tm_year + 1900,
      parts.tm_hour,
      parts.tm_min,
      parts.tm_sec
  );
}

std::string write_response(
    const HttpResponse& response, bool keep_alive, bool head_only, WallTime now
) {
  std::string out;
  out.reserve(256 + (head_only ? 0 : response.body.size()));
  const auto reason = http::obsolete_reason(static_cast<http::status>(response.status));
  fmt::format_to(
      std::back_inserter(out),
      "HTTP/1.1 {} {}\r\nDate: {}\r\n",
      response.status,
      std::string_view(reason.data(), reason.size()),
      http_date(now)
  );
  for (const auto& [name, value] : response.headers) {
    if (!has_line_break(name) && !has_line_break(value)) {
      out.append(name).append(": ").append(value).append("\r\n");
    }
  }
  const bool bodiless = response.status < 200 || response.status == 204 || response.status == 304;
  if (!bodiless) {
    fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", response.body.size());
  }
  if (response.status != 101) {
    out.append(keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
  } else {
    out.append("\r\n");
  }
  if (!bodiless && !head_only) {
    out.append(response.body);
  }
  return out;
}

}  // namespace iotcore::net
