#include "net/http_client.h"
#include "net/socket.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <string>
#include <sys/socket.h>
#include <thread>

using namespace iotcore;
using namespace iotcore::net;
using namespace std::chrono_literals;

namespace {

UniqueFd accept_one(int fd) {
  int taken = -1;
  while (taken < 0) {
    taken = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
  }
  return UniqueFd(taken);
}

// Reads up to the end of a head; false: the peer has gone.
bool read_request(int fd) {
  std::string text;
  char c = 0;
  while (text.find("\r\n\r\n") == std::string::npos) {
    if (::recv(fd, &c, 1, 0) <= 0) {
      return false;
    }
    text += c;
  }
  return true;
}

void answer(int fd) {
  const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
}

HttpServer at(int fd) {
  HttpServer server;
  server.host = "127.0.0.1";
  server.port = local_port(fd);
  return server;
}

HttpRequest get() {
  HttpRequest request;
  request.method = "GET";
  request.target = "/";
  return request;
}

}  // namespace

TEST_CASE("A connection is used again, and opened anew when the server has closed it") {
  auto listening = listen_on({"127.0.0.1", 0}, 4);
  REQUIRE(listening);
  std::thread server([fd = listening->get()] {
    for (const int requests : {2, 1}) {
      const UniqueFd peer = accept_one(fd);
      for (int i = 0; i < requests && read_request(peer.get()); ++i) {
        answer(peer.get());
      }
    }
  });
  HttpConnection connection(at(listening->get()));
  for (int i = 0; i < 3; ++i) {
    const auto response = connection.call(get(), 10s);
    REQUIRE(response);
    CHECK(response->body == "ok");
  }
  server.join();
}

TEST_CASE("A request that was not answered is not sent twice over a new connection") {
  auto listening = listen_on({"127.0.0.1", 0}, 4);
  REQUIRE(listening);
  std::thread server([fd = listening->get()] { read_request(accept_one(fd).get()); });
  HttpConnection connection(at(listening->get()));
  const auto response = connection.call(get(), 10s);
  server.join();
  REQUIRE(!response);
  CHECK(response.error().code() == Errc::kUnavailable);
}

TEST_CASE("A server that says nothing costs no more than the time-out") {
  auto listening = listen_on({"127.0.0.1", 0}, 4);
  REQUIRE(listening);
  const auto response = http_call(at(listening->get()), get(), 50ms);
  REQUIRE(!response);
  CHECK(response.error().code() == Errc::kTimeout);
}
