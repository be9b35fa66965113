#include "net/http_codec.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace iotcore;
using namespace iotcore::net;

namespace {

// Offers the text as a connection would, in pieces, keeping what is not taken.
Result<HttpRequest> parse(std::string_view text, std::size_t piece, const HttpLimits& limits = {}) {
  HttpRequestParser parser(limits);
  std::string kept;
  for (std::size_t at = 0; at < text.size() && !parser.done(); at += piece) {
    kept += text.substr(at, piece);
    IOTCORE_ASSIGN(const std::size_t taken, parser.put(kept));
    kept.erase(0, taken);
  }
  if (!parser.done()) {
    return fail(Errc::kUnavailable, "incomplete");
  }
  return parser.take();
}

Errc error_of(std::string_view text, const HttpLimits& limits = {}) {
  const Result<HttpRequest> request = parse(text, text.size(), limits);
  REQUIRE(!request);
  return request.error().code();
}

}  // namespace

TEST_CASE("A request is read whole, however it is cut") {
  const std::string text =
      "POST /topics/a%2Fb?qos=1 HTTP/1.1\r\nHost: h:8443\r\nX-Two: a\r\nx-two:  b "
      "\r\nContent-Length: 5\r\n\r\nhello";
  for (const std::size_t piece : {1U, 2U, 7U, 1000U}) {
    const Result<HttpRequest> request = parse(text, piece);
    REQUIRE(request);
    CHECK(request->method == "POST");
    CHECK(request->target == "/topics/a%2Fb?qos=1");
    CHECK(request->body == "hello");
    CHECK(request->headers.size() == 4);
    CHECK(*request->headers.find("host") == "h:8443");
  }
}

TEST_CASE("In HTTP/1.0 an Upgrade field means nothing") {
  for (const char* version : {"1.0", "1.1"}) {
    const Result<HttpRequest> request = parse(
        std::string("GET /mqtt HTTP/") + version +
            "\r\nHost: h\r\nConnection: Upgrade\r\nupgrade: websocket\r\n\r\n",
        1000
    );
    REQUIRE(request);
    CHECK((request->headers.find("Upgrade") != nullptr) == (version == std::string("1.1")));
    CHECK(request->headers.find("Connection") != nullptr);
  }
}

TEST_CASE("Bodies come in chunks, too") {
  const std::string text =
      "PUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n6\r\n "
      "world\r\n0\r\n\r\n";
  for (const std::size_t piece : {1U, 3U, 1000U}) {
    const Result<HttpRequest> request = parse(text, piece);
    REQUIRE(request);
    CHECK(request->body == "hello world");
  }
}

TEST_CASE("An empty chunked body may come byte by byte") {
  const std::string text =
      "PUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  for (const std::size_t piece : {1U, 2U, 3U, 4U}) {
    const Result<HttpRequest> request = parse(text, piece);
    REQUIRE(request);
    CHECK(request->body.empty());
  }
}

TEST_CASE("A parser takes one request and leaves what follows") {
  HttpRequestParser parser({});
  const std::string first = "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n";
  const Result<std::size_t> taken = parser.put(first + "GET /2 HTTP/1.1\r\n");
  REQUIRE(taken);
  CHECK(*taken == first.size());
  CHECK(parser.done());
  CHECK(parser.keep_alive());
}

TEST_CASE("Keep-alive and Expect are as RFC 9112 and 9110 say") {
  const auto head = [](std::string_view text) {
    HttpRequestParser parser({});
    REQUIRE(parser.put(text));
    REQUIRE(parser.head_done());
    return std::pair(parser.keep_alive(), parser.expects_continue());
  };
  CHECK(head("GET / HTTP/1.0\r\n\r\n") == std::pair(false, false));
  CHECK(head("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") == std::pair(true, false));
  CHECK(head("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n") == std::pair(false, false));
  CHECK(
      head("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n") ==
      std::pair(true, true)
  );
}

TEST_CASE("Malformed and oversized requests are errors") {
  const HttpLimits limits = {.header_bytes_max = 200, .body_bytes_max = 10};
  CHECK(error_of("NONSENSE\r\n\r\n") == Errc::kInvalidRequest);
  CHECK(error_of("GET / HTTP/1.1\r\n\r\n") == Errc::kInvalidRequest);
  CHECK(error_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n") == Errc::kInvalidRequest);
  CHECK(error_of("GET / HTTP/1.1\r\nHost : a\r\n\r\n") == Errc::kInvalidRequest);
  CHECK(
      error_of("GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(200, 'a') + "\r\n\r\n", limits) ==
      Errc::kTooLarge
  );
  CHECK(
      error_of("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n", limits) == Errc::kTooLarge
  );
  CHECK(parse("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789", 5, limits));
  CHECK(
      error_of(
          "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nB\r\nhello "
          "world\r\n0\r\n\r\n",
          limits
      ) == Errc::kTooLarge
  );
  // Request smuggling: two ways to say where the body ends (RFC 9112 6.1).
  CHECK(
      error_of("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: "
               "chunked\r\n\r\n0\r\n\r\n") == Errc::kInvalidRequest
  );
  CHECK(
      error_of("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd") ==
      Errc::kInvalidRequest
  );
  CHECK(
      error_of("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na") ==
      Errc::kInvalidRequest
  );
  // Codings that somebody in front may know, and we would have taken for none, or for chunks of what it does not say.
  for (const char* coding :
       {"identity",
        "xchunked",
        "chunked, gzip",
        "gzip, chunked",
        "chunked, chunked",
        "",
        "chunked,"}) {
    INFO(coding);
    CHECK(
        error_of(
            "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: " + std::string(coding) +
            "\r\n\r\n0\r\n\r\n"
        ) == Errc::kInvalidRequest
    );
  }
  CHECK(
      error_of("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\nContent-Length: "
               "1\r\n\r\na") == Errc::kInvalidRequest
  );
  CHECK(
      error_of("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") ==
      Errc::kInvalidRequest
  );
}

TEST_CASE("A head has the same limit, however it is cut") {
  constexpr HttpLimits kLimits = {.header_bytes_max = 200, .body_bytes_max = 10};
  for (std::size_t size = 190; size < 230; ++size) {
    std::string head = "GET /x HTTP/1.1\r\nHost: h\r\nA: ";
    head.append(size - head.size() - 4, 'a');
    head += "\r\n\r\n";
    for (const std::size_t piece : {size, std::size_t{1}, std::size_t{3}}) {
      HttpRequestParser parser(kLimits);
      bool refused = false;
      for (std::size_t end = piece; !refused && !parser.done(); end += piece) {
        refused = !parser.put(head.substr(0, end)).has_value();
      }
      CHECK(refused == (size > 200));
    }
  }
}

TEST_CASE("An absolute target becomes the origin form") {
  CHECK(parse("GET http://h:1/a?b HTTP/1.1\r\nHost: h\r\n\r\n", 999)->target == "/a?b");
  CHECK(parse("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", 999)->target == "/");
}

TEST_CASE("A response is written with its length, and without injected fields") {
  HttpResponse response;
  response.status = 404;
  response.headers.add("X-A", "1");
  response.headers.add("X-B", "2\r\nSet-Cookie: x");
  response.body = "{}";
  const WallTime now = from_epoch_ms(784887151000);
  CHECK(
      write_response(response, true, false, now) ==
      "HTTP/1.1 404 Not Found\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nX-A: 1\r\nContent-Length: "
      "2\r\n"
      "Connection: keep-alive\r\n\r\n{}"
  );
  CHECK(write_response(response, false, true, now)
            .ends_with("Content-Length: 2\r\nConnection: close\r\n\r\n"));
  response.status = 204;
  CHECK(write_response(response, true, false, now).find("Content-Length") == std::string::npos);
}
