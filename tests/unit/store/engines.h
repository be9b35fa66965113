#pragma once

#include "base/executor.h"
#include "store/fault_store.h"
#include "store/store.h"

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <unistd.h>
#include <utility>

namespace rocksdb {
class Env;
}

namespace iotcore::store::test {

// A folder of its own, gone afterwards.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "iotcore-store-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }

  ~TempDir() { std::filesystem::remove_all(path_); }

  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// Runs its tasks on the thread of the test, when the test says so.
class TestExecutor final : public Executor {
 public:
  void post(Function<void()> task) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    ++posts_;
    posted_.notify_one();  // under the lock: the last task may end the executor
  }

  // Waits for tasks and runs them until the condition holds.
  template <typename Condition>
  void run_until(Condition condition) {
    while (!condition()) {
      std::unique_lock lock(mutex_);
      posted_.wait(lock, [this] { return !tasks_.empty(); });
      Function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
  }

  std::size_t posts() const {
    const std::lock_guard lock(mutex_);
    return posts_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<Function<void()>> tasks_;
  std::size_t posts_ = 0;
};

// What can go wrong with a disk.
enum class Fault { kNone, kFull, kSyncFails };

// An engine under test, with a disk that can be broken.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual Store& store() = 0;
  virtual void set_fault(Fault fault) = 0;
};

std::unique_ptr<Engine> make_memory_engine();
std::unique_ptr<Engine> make_rocksdb_engine();

// The default environment of RocksDB with a fault that can be switched on; outlives the stores that
// use it.
class FaultEnv {
 public:
  FaultEnv();
  ~FaultEnv();
  rocksdb::Env* env();
  void set(Fault fault);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iotcore::store::test
