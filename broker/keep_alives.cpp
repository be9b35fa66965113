#include "broker/keep_alives.h"

#include "broker/client_session.h"

namespace iotcore::broker {

TimerHandle KeepAlives::schedule(MonotonicTime at, ClientSession& session) {
  const TimerHandle handle = wheel_.schedule(at, &session);
  if (!firing_ && at < armed_for_) {
    arm();
  }
  return handle;
}

void KeepAlives::arm() {
  const MonotonicTime next = wheel_.next();
  if (next == armed_for_) {
    return;
  }
  timers_.cancel(timer_);
  timer_ = {};
  armed_for_ = next;
  if (next != MonotonicTime::max()) {
    timer_ = timers_.schedule(next, [this] { fire(); });
  }
}

void KeepAlives::fire() {
  armed_for_ = MonotonicTime::max();
  timer_ = {};
  firing_ = true;
  wheel_.advance(clock_.now(), [](ClientSession* session) { session->on_keep_alive(); });
  firing_ = false;
  arm();
}

}  // namespace iotcore::broker
