#include "net/http_reply.h"

#include "net/http_client.h"
#include "net/socket.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <vector>

using namespace iotcore;
using namespace iotcore::net;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kBodyBytesMax = 1000;

struct Row {
  const char* name;
  std::string bytes;
  std::uint16_t status;
  std::string body;
  bool needs_end = false;  // it is whole only when the connection ends
};

const std::vector<Row> kRows = {
    {"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
    {"no body", "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", 204, ""},
    {"length 0", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, ""},
    {"no reason", "HTTP/1.1 500\r\nContent-Length: 1\r\n\r\nx", 500, "x"},
    {"to the end", "HTTP/1.0 200 OK\r\n\r\nall of it", 200, "all of it", true},
    {"interim",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
     200,
     "ok"},
    {"chunks",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
     "5\r\nhello\r\n1;name=value\r\n \r\n0b\r\nwide\r\nworld\r\n0\r\n\r\n",
     200,
     "hello wide\r\nworld"},
    {"trailer",
     "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
     200,
     "ok"},
};

}  // namespace

TEST_CASE("A response is the same however it is cut") {
  for (const Row& row : kRows) {
    CAPTURE(row.name);
    for (std::size_t cut = 0; cut <= row.bytes.size(); ++cut) {
      HttpReplyParser parser(false, kBodyBytesMax);
      REQUIRE(parser.put(std::string_view(row.bytes).substr(0, cut)));
      CHECK(parser.done() == (cut == row.bytes.size() && !row.needs_end));
      REQUIRE(parser.put(std::string_view(row.bytes).substr(cut)));
      if (row.needs_end) {
        REQUIRE(parser.put_end());
      }
      REQUIRE(parser.done());
      const HttpResponse response = parser.take();
      CHECK(response.status == row.status);
      CHECK(response.body == row.body);
    }
    HttpReplyParser by_byte(false, kBodyBytesMax);
    for (const char c : row.bytes) {
      REQUIRE(by_byte.put({&c, 1}));
    }
    CHECK(by_byte.done() == !row.needs_end);
  }
}

TEST_CASE("A response that breaks off or breaks the rules is refused") {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& wrong : std::vector<std::string>{
           "SSH-2.0-x\r\n\r\n",
           "HTTP/2 200 OK\r\n\r\n",
           "HTTP/1.1 OK\r\n\r\n",
           "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
           "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
           "HTTP/1.1 200 OK\r\n\r\n" + std::string(kBodyBytesMax + 1, 'x'),
           chunked + "x\r\n",
           chunked + "\r\n",
           chunked + "2\r\nokay\r\n",
           chunked + "2\r\nok\r\n",
           chunked + "3e9\r\n",
           chunked + "200\r\n" + std::string(512, 'a') + "\r\n200\r\n" + std::string(512, 'b'),
           std::string(HttpReplyParser::kHeadBytesMax + 1, 'h')}) {
    CAPTURE(wrong.substr(0, 80));
    HttpReplyParser parser(false, kBodyBytesMax);
    CHECK_FALSE((parser.put(wrong) && parser.put_end()));
  }
}

TEST_CASE("The answer to HEAD ends with its head") {
  HttpReplyParser parser(true, kBodyBytesMax);
  REQUIRE(parser.put("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
  CHECK(parser.done());
}

TEST_CASE("A call survives a server that sends its chunks in pieces") {
  auto listening = listen_on({"127.0.0.1", 0}, 4);
  REQUIRE(listening);
  std::thread server([fd = listening->get()] {
    const UniqueFd peer([fd] {
      int taken = -1;
      while (taken < 0) {
        taken = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
      }
      return taken;
    }());
    const std::string text = kRows[6].bytes;
    for (const char c : text) {
      ::send(peer.get(), &c, 1, MSG_NOSIGNAL);
    }
    char rest[1024];
    ::recv(peer.get(), rest, sizeof rest, 0);
  });
  HttpServer where;
  where.host = "127.0.0.1";
  where.port = local_port(listening->get());
  where.tls = false;
  HttpRequest request;
  request.method = "GET";
  request.target = "/";
  const auto response = http_call(where, std::move(request), 10s);
  server.join();
  REQUIRE(response);
  CHECK(response->body == kRows[6].body);
}
