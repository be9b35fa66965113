#pragma once

#include "base/clock.h"
#include "base/executor.h"
#include "base/function.h"
#include "base/timer_wheel.h"
#include "net/socket.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

struct epoll_event;

namespace iotcore::net {

// Something with a descriptor in an EventLoop.
class IoHandler {
 public:
  // `events` are EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR; EPOLLIN alone if it comes from EventLoop::again().
  virtual void on_io(std::uint32_t events) = 0;

 protected:
  ~IoHandler() = default;
};

// One thread's loop over epoll. A turn is: wait; deliver events; deliver what asked to be called again; run posted tasks; run due timers; run
// the end-of-turn hooks. What a turn's events lead to is thus written in that same turn, and nothing is allocated per event.
// All members are for the loop's own thread (or before run()), but post() and stop().
class EventLoop final : public Executor {
 public:
  static constexpr std::size_t kReadBufferBytes = 256 * 1024;

  explicit EventLoop(const Clock& clock);
  ~EventLoop() override;
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Turns until stop(). Tasks still posted at that time are run.
  void run();
  // Any thread, also before run().
  void stop();
  // One turn; waits at most that long for something to do.
  void turn(Duration wait_max);

  // Edge-triggered: the handler reads until the socket is drained, or asks to be called again(). Anything that is ready already is
  // reported in the next turn.
  void add(int fd, IoHandler& handler);
  // From now on EPOLLOUT is reported too. For the first write that would block; most connections never need it.
  void watch_writable(int fd, IoHandler& handler);
  // Level-triggered input, for listening sockets.
  void add_listener(int fd, IoHandler& handler);
  // The descriptor stays open; no event is delivered after this.
  void remove(int fd, IoHandler& handler);
  // As remove(), for a descriptor that is about to be closed, which takes it out of epoll by itself.
  void forget(IoHandler& handler);
  // Calls on_io(EPOLLIN) next turn and does not sleep before. For readers that stopped before the socket was drained. Once for each time it is
  // asked for.
  void again(IoHandler& handler);

  // Any thread. A sleeping loop is woken once, however many tasks come.
  void post(Function<void()> task) override;

  // Hooks run every turn, by rising order, then by time of adding.
  void at_turn_end(int order, Function<void()> hook);
  // Around every wait that may sleep.
  void set_sleep_hooks(Function<void()> before, Function<void()> after);

  // The next turn does not sleep: for hooks that made work.
  void request_turn() { turn_requested_ = true; }

  // Timers of this thread; they run after the turn's events.
  TimerWheel& timers() { return timers_; }

  // The time at which this turn began to do things.
  MonotonicTime turn_time() const { return turn_time_; }

  const Clock& clock() const { return clock_; }

  // One for all connections of this thread; what is in it is gone when the handler returns.
  std::span<char> read_buffer() { return {read_buffer_.get(), kReadBufferBytes}; }

 private:
  struct Task {
    Function<void()> run;
    Task* next = nullptr;
  };

  struct Hook {
    int order;
    Function<void()> run;
  };

  static constexpr std::size_t kEventsMax = 512;

  void control(int operation, int fd, std::uint32_t events, IoHandler& handler);
  int wait_ms(Duration wait_max) const;
  void wait(Duration wait_max);
  void deliver_events();
  void deliver_again();
  void run_posted();

  const Clock& clock_;
  UniqueFd epoll_;
  UniqueFd wake_;
  MonotonicTime turn_time_;
  std::unique_ptr<char[]> read_buffer_;
  std::unique_ptr<epoll_event[]> events_;
  std::size_t event_count_ = 0;
  std::size_t event_at_ = 0;
  std::vector<IoHandler*> again_;
  std::vector<IoHandler*> again_now_;
  std::vector<Hook> turn_end_;
  TimerWheel timers_;
  Function<void()> before_sleep_;
  Function<void()> after_sleep_;
  bool turn_requested_ = false;
  // Shared with posting threads: a stack of tasks, last one first, and whether the loop (may) sleep.
  alignas(64) std::atomic<Task*> posted_ = nullptr;
  std::atomic<bool> sleeping_ = false;
  std::atomic<bool> stopped_ = false;
};

}  // namespace iotcore::net
