#pragma once

#include "base/function.h"
#include "base/ids.h"
#include "broker/workers.h"

#include <functional>

namespace iotcore::broker {

// Runs task(worker) on every worker, and `done` on the last that has. A worker that runs a task is between two publishes.
void run_on_all(Workers& workers, std::function<void(WorkerId)> task, Function<void()> done);

}  // namespace iotcore::broker
