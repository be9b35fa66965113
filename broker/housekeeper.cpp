#include "broker/housekeeper.h"

#include "broker/retained.h"
#include "broker/retained_writes.h"
#include "broker/worker_broker.h"

namespace iotcore::broker {
namespace {

constexpr auto kEvery = std::chrono::seconds(1);

}  // namespace

Housekeeper::Housekeeper(WorkerBroker& worker) : worker_(worker), sys_topics_(worker) {
  arm();
}

Housekeeper::~Housekeeper() {
  worker_.timers().cancel(timer_);
}

void Housekeeper::arm() {
  timer_ = worker_.timers().schedule(worker_.shared().clock().now() + kEvery, [this] { tick(); });
}

void Housekeeper::tick() {
  for (const std::string& topic : worker_.shared().retained().expire()) {
    write_retained(worker_, topic, {});
  }
  sys_topics_.tick();
  arm();
}

}  // namespace iotcore::broker
