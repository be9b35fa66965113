#pragma once

#include "base/timer_wheel.h"
#include "broker/sys_topics.h"

namespace iotcore::broker {

class WorkerBroker;

// What is to be done once a second on behalf of all workers: forgetting expired retained messages, publishing statistics. Lives on the first
// worker.
class Housekeeper {
 public:
  explicit Housekeeper(WorkerBroker& worker);
  ~Housekeeper();
  Housekeeper(const Housekeeper&) = delete;
  Housekeeper& operator=(const Housekeeper&) = delete;

 private:
  void arm();
  void tick();

  WorkerBroker& worker_;
  SysTopics sys_topics_;
  TimerHandle timer_;
};

}  // namespace iotcore::broker
