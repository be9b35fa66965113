#include "net/event_loop.h"

#include "base/check.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace iotcore::net {

EventLoop::EventLoop(const Clock& clock)
    : clock_(clock),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      turn_time_(clock.now()),
      read_buffer_(new char[kReadBufferBytes]),
      events_(new epoll_event[kEventsMax]) {
  IOTCORE_CHECK(epoll_ && wake_);
  // Edge-triggered: each write is reported once and the count never needs to be read back.
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = nullptr;
  IOTCORE_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) == 0);
}

EventLoop::~EventLoop() {
  for (Task* task = posted_.load(); task != nullptr;) {
    delete std::exchange(task, task->next);
  }
}

void EventLoop::run() {
  while (!stopped_.load(std::memory_order_acquire)) {
    turn(std::chrono::hours(1));
  }
  run_posted();
}

void EventLoop::stop() {
  stopped_.store(true, std::memory_order_release);
  post([] {});
}

void EventLoop::turn(Duration wait_max) {
  wait(wait_max);
  turn_time_ = clock_.now();
  deliver_events();
  deliver_again();
  run_posted();
  timers_.advance(turn_time_);
  for (Hook& hook : turn_end_) {
    hook.run();
  }
}

int EventLoop::wait_ms(Duration wait_max) const {
  if (turn_requested_ || !again_.empty()) {
    return 0;
  }
  if (const MonotonicTime next = timers_.next(); next != MonotonicTime::max()) {
    wait_max = std::min(wait_max, next - clock_.now());
  }
  return static_cast<int>(
      std::max<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(wait_max).count(), 0)
  );
}

void EventLoop::wait(Duration wait_max) {
  int timeout = wait_ms(wait_max);
  turn_requested_ = false;
  if (timeout != 0) {
    // Either a posting thread sees this flag and writes to the eventfd, or this thread sees its task here.
    sleeping_.store(true, std::memory_order_seq_cst);
    if (posted_.load(std::memory_order_seq_cst) != nullptr) {
      sleeping_.store(false, std::memory_order_relaxed);
      timeout = 0;
    }
  }
  const bool may_sleep = timeout != 0;
  if (may_sleep && before_sleep_) {
    before_sleep_();
  }
  const int n = epoll_wait(epoll_.get(), events_.get(), static_cast<int>(kEventsMax), timeout);
  IOTCORE_CHECK(n >= 0 || errno == EINTR);
  if (may_sleep) {
    sleeping_.store(false, std::memory_order_relaxed);
    if (after_sleep_) {
      after_sleep_();
    }
  }
  event_count_ = static_cast<std::size_t>(std::max(n, 0));
}

void EventLoop::deliver_events() {
  for (event_at_ = 0; event_at_ < event_count_; ++event_at_) {
    const epoll_event event = events_[event_at_];
    if (event.data.ptr != nullptr) {
      static_cast<IoHandler*>(event.data.ptr)->on_io(event.events);
    }
  }
  event_count_ = 0;
}

void EventLoop::deliver_again() {
  if (again_.empty()) {
    return;
  }
  again_now_.swap(again_);
  for (std::size_t i = 0; i < again_now_.size(); ++i) {
    if (IoHandler* handler = std::exchange(again_now_[i], nullptr); handler != nullptr) {
      handler->on_io(EPOLLIN);
    }
  }
  again_now_.clear();
}

void EventLoop::run_posted() {
  if (posted_.load(std::memory_order_relaxed) == nullptr) {
    return;
  }
  Task* in_order = nullptr;
  for (Task* task = posted_.exchange(nullptr, std::memory_order_acquire); task != nullptr;) {
    Task* next = std::exchange(task->next, in_order);
    in_order = std::exchange(task, next);
  }
  while (in_order != nullptr) {
    const std::unique_ptr<Task> task(std::exchange(in_order, in_order->next));
    task->run();
  }
}

void EventLoop::control(int operation, int fd, std::uint32_t events, IoHandler& handler) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = &handler;
  IOTCORE_CHECK(epoll_ctl(epoll_.get(), operation, fd, &event) == 0);
}

void EventLoop::add(int fd, IoHandler& handler) {
  control(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, handler);
}

void EventLoop::watch_writable(int fd, IoHandler& handler) {
  control(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, handler);
}

void EventLoop::add_listener(int fd, IoHandler& handler) {
  control(EPOLL_CTL_ADD, fd, EPOLLIN, handler);
}

void EventLoop::remove(int fd, IoHandler& handler) {
  control(EPOLL_CTL_DEL, fd, 0, handler);
  forget(handler);
}

void EventLoop::forget(IoHandler& handler) {
  for (std::size_t i = event_at_; i < event_count_; ++i) {
    if (events_[i].data.ptr == &handler) {
      events_[i].data.ptr = nullptr;
    }
  }
  std::erase(again_, &handler);
  std::replace(again_now_.begin(), again_now_.end(), &handler, static_cast<IoHandler*>(nullptr));
}

void EventLoop::again(IoHandler& handler) {
  again_.push_back(&handler);
}

void EventLoop::post(Function<void()> task) {
  auto* node = new Task{std::move(task)};
  node->next = posted_.load(std::memory_order_relaxed);
  while (!posted_.compare_exchange_weak(
      node->next, node, std::memory_order_seq_cst, std::memory_order_relaxed
  )) {
  }
  if (sleeping_.load(std::memory_order_seq_cst) &&
      sleeping_.exchange(false, std::memory_order_seq_cst)) {
    const std::uint64_t one = 1;
    IOTCORE_CHECK(write(wake_.get(), &one, sizeof one) == sizeof one);
  }
}

void EventLoop::at_turn_end(int order, Function<void()> hook) {
  const auto at = std::upper_bound(
      turn_end_.begin(),
      turn_end_.end(),
      order,
      [](int wanted, const Hook& other) { return wanted < other.order; }
  );
  turn_end_.insert(at, Hook{order, std::move(hook)});
}

void EventLoop::set_sleep_hooks(Function<void()> before, Function<void()> after) {
  before_sleep_ = std::move(before);
  after_sleep_ = std::move(after);
}

}  // namespace iotcore::net
