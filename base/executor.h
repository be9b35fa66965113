#pragma once

#include "base/function.h"

namespace iotcore {

// A thread, or several, that runs what it is given. post() may be called on any thread, never runs the task itself
// before it returns, and keeps the order of the tasks that one thread posts.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void post(Function<void()> task) = 0;
};

}  // namespace iotcore
