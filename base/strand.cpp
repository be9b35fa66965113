#include "base/strand.h"

#include <utility>

namespace iotcore {

void Strand::post(Function<void()> task) {
  unfinished_.fetch_add(1, std::memory_order_release);
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    first = !std::exchange(running_, true);
  }
  if (first) {
    on_.post([this] { run_next(); });
  }
}

// One a turn: others have a share in the executor.
void Strand::run_next() {
  Function<void()> task;
  {
    const std::lock_guard lock(mutex_);
    task = std::move(tasks_.front());
    tasks_.pop_front();
  }
  task();
  bool more = false;
  {
    const std::lock_guard lock(mutex_);
    more = running_ = !tasks_.empty();
  }
  if (more) {
    on_.post([this] { run_next(); });
  }
  unfinished_.fetch_sub(1, std::memory_order_release);
}

}  // namespace iotcore
