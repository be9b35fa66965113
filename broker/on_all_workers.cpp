#include "broker/on_all_workers.h"

#include <atomic>
#include <memory>
#include <utility>

namespace iotcore::broker {

void run_on_all(Workers& workers, std::function<void(WorkerId)> task, Function<void()> done) {
  struct Countdown {
    std::atomic<std::size_t> left;
    std::function<void(WorkerId)> task;
    Function<void()> done;
  };

  // Shared by the workers' tasks: whichever is the last runs `done`.
  auto countdown = std::make_shared<Countdown>();
  countdown->left = workers.count();
  countdown->task = std::move(task);
  countdown->done = std::move(done);
  for (std::size_t i = 0; i < workers.count(); ++i) {
    const auto id = static_cast<WorkerId>(i);
    workers.executor(id).post([countdown, id] {
      countdown->task(id);
      if (countdown->left.fetch_sub(1) == 1) {
        countdown->done();
      }
    });
  }
}

}  // namespace iotcore::broker
