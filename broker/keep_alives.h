#pragma once

#include "base/clock.h"
#include "base/timer_wheel.h"

namespace iotcore::broker {

class ClientSession;

// The keep-alive timers of one worker, in a wheel of their own that is driven by a single timer of the loop's: nearly every connection has
// one, and a node that holds a pointer is a third of one that holds a function.
class KeepAlives {
 public:
  KeepAlives(TimerWheel& timers, const Clock& clock) : timers_(timers), clock_(clock) {}

  ~KeepAlives() { timers_.cancel(timer_); }

  KeepAlives(const KeepAlives&) = delete;
  KeepAlives& operator=(const KeepAlives&) = delete;

  // Calls ClientSession::on_keep_alive then, once.
  TimerHandle schedule(MonotonicTime at, ClientSession& session);

  void cancel(TimerHandle handle) { wheel_.cancel(handle); }

 private:
  void arm();
  void fire();

  TimerWheel& timers_;
  const Clock& clock_;
  BasicTimerWheel<ClientSession*> wheel_;
  TimerHandle timer_;
  MonotonicTime armed_for_ = MonotonicTime::max();
  bool firing_ = false;
};

}  // namespace iotcore::broker
