#include "net/event_loop.h"

#include <catch2/catch.hpp>

#include <array>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace iotcore;
using namespace iotcore::net;
using namespace std::chrono_literals;

namespace {

struct SocketPair {
  UniqueFd ours;
  UniqueFd theirs;

  SocketPair() {
    std::array<int, 2> fds = {};
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()) == 0);
    ours = UniqueFd(fds[0]);
    theirs = UniqueFd(fds[1]);
  }

  void send(const std::string& text) {
    REQUIRE(write(theirs.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
};

struct Recorder final : IoHandler {
  std::vector<std::uint32_t> seen;
  std::function<void()> then;

  void on_io(std::uint32_t events) override {
    seen.push_back(events);
    if (then) {
      then();
    }
  }
};

}  // namespace

TEST_CASE("A turn delivers events, posted tasks and timers, then the hooks in their order") {
  ManualClock clock;
  EventLoop loop(clock);
  SocketPair pair;
  Recorder handler;
  std::string order;
  handler.then = [&] { order += "io "; };
  loop.add(pair.ours.get(), handler);
  loop.at_turn_end(2, [&] { order += "second "; });
  loop.at_turn_end(1, [&] { order += "first "; });
  loop.at_turn_end(2, [&] { order += "third "; });
  loop.post([&] { order += "task "; });
  loop.timers().schedule(clock.now() + 2ms, [&] { order += "timer "; });
  clock.advance(3ms);
  pair.send("x");
  loop.turn(1s);
  CHECK(order == "io task timer first second third ");
}

TEST_CASE("Readiness is reported once, and again when asked for") {
  SystemClock clock;
  EventLoop loop(clock);
  SocketPair pair;
  Recorder handler;
  loop.add(pair.ours.get(), handler);
  pair.send("x");
  loop.turn(1s);
  loop.turn(0s);
  CHECK(handler.seen.size() == 1);
  loop.again(handler);
  loop.turn(1h);
  CHECK(handler.seen.size() == 2);
  CHECK(handler.seen.back() == EPOLLIN);
  loop.watch_writable(pair.ours.get(), handler);
  loop.turn(1h);
  CHECK((handler.seen.back() & EPOLLOUT) != 0);
  pair.theirs.reset();
  loop.turn(1h);
  CHECK((handler.seen.back() & EPOLLRDHUP) != 0);
}

TEST_CASE(
    "A handler that was removed in a turn gets nothing any more, even what was reported with it"
) {
  SystemClock clock;
  EventLoop loop(clock);
  SocketPair first;
  SocketPair second;
  Recorder a;
  Recorder b;
  loop.add(first.ours.get(), a);
  loop.add(second.ours.get(), b);
  a.then = [&] {
    loop.forget(b);
    second.ours.reset();
  };
  b.then = [&] { loop.remove(first.ours.get(), a); };
  loop.again(a);
  loop.again(b);
  first.send("x");
  second.send("x");
  loop.turn(1s);
  CHECK(a.seen.size() + b.seen.size() <= 2);
  CHECK((a.seen.empty() || b.seen.empty()));
}

TEST_CASE("Tasks of each thread run in order, and wake a sleeping loop") {
  SystemClock clock;
  EventLoop loop(clock);
  constexpr int kThreads = 4;
  constexpr int kTasks = 2000;
  std::array<int, kThreads> next = {};
  int out_of_order = 0;
  int done = 0;
  std::thread worker([&] { loop.run(); });
  std::vector<std::thread> posters;
  for (int t = 0; t < kThreads; ++t) {
    posters.emplace_back([&, t] {
      for (int i = 0; i < kTasks; ++i) {
        loop.post([&, t, i] {
          out_of_order += next[static_cast<std::size_t>(t)]++ == i ? 0 : 1;
          if (++done == kThreads * kTasks) {
            loop.stop();
          }
        });
      }
    });
  }
  for (std::thread& poster : posters) {
    poster.join();
  }
  worker.join();
  CHECK(done == kThreads * kTasks);
  CHECK(out_of_order == 0);
}

TEST_CASE("Sleep hooks surround waits that may sleep, and only those") {
  SystemClock clock;
  EventLoop loop(clock);
  int before = 0;
  int after = 0;
  loop.set_sleep_hooks([&] { ++before; }, [&] { ++after; });
  loop.turn(1ms);
  CHECK(before == 1);
  CHECK(after == 1);
  loop.request_turn();
  loop.turn(1h);
  loop.post([] {});
  loop.turn(1h);
  CHECK(before == 1);
  CHECK(after == 1);
}

TEST_CASE("A timer ends the wait") {
  SystemClock clock;
  EventLoop loop(clock);
  bool fired = false;
  loop.timers().schedule(clock.now() + 3ms, [&] { fired = true; });
  for (int i = 0; i < 10 && !fired; ++i) {
    loop.turn(1h);
  }
  CHECK(fired);
}

TEST_CASE("Tasks that never ran are destroyed with the loop") {
  SystemClock clock;
  auto held = std::make_shared<int>(1);
  {
    EventLoop loop(clock);
    loop.post([held] {});
    CHECK(held.use_count() == 2);
  }
  CHECK(held.use_count() == 1);
}
