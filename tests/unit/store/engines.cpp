#include "tests/unit/store/engines.h"

#include "base/check.h"
#include "store/memory_store.h"
#include "store/rocksdb_store.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <atomic>

namespace iotcore::store::test {
namespace {

class MemoryEngine final : public Engine {
 public:
  Store& store() override { return faults_; }

  void set_fault(Fault fault) override {
    switch (fault) {
      case Fault::kNone:
        faults_.mend();
        break;
      case Fault::kFull:
        faults_.break_writes(Error(Errc::kStoreFull, "disk full"));
        break;
      case Fault::kSyncFails:
        faults_.break_writes(Error(Errc::kStoreIo, "fsync failed"));
        break;
    }
  }

 private:
  MemoryStore store_;
  FaultStore faults_{store_};
};

class RocksDbEngine final : public Engine {
 public:
  RocksDbEngine() {
    RocksDbOptions options;
    options.env = env_.env();
    options.retry_interval = std::chrono::milliseconds(5);
    auto store = open_rocksdb_store(dir_ / "db", options);
    IOTCORE_CHECK(store.has_value());
    store_ = std::move(*store);
  }

  Store& store() override { return *store_; }

  void set_fault(Fault fault) override { env_.set(fault); }

 private:
  TempDir dir_;
  FaultEnv env_;
  std::unique_ptr<Store> store_;
};

// A file that tears its last write when the disk is full, and forgets to sync when syncing fails.
class FaultFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultFile(std::unique_ptr<rocksdb::FSWritableFile> file, const std::atomic<Fault>& fault)
      : FSWritableFileOwnerWrapper(std::move(file)), fault_(fault) {}

  using FSWritableFileOwnerWrapper::Append;

  rocksdb::IOStatus Append(
      const rocksdb::Slice& data, const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug
  ) override {
    if (fault_ != Fault::kFull) {
      return FSWritableFileOwnerWrapper::Append(data, options, debug);
    }
    const rocksdb::Slice half(data.data(), data.size() / 2);
    const auto torn = FSWritableFileOwnerWrapper::Append(half, options, debug);
    return torn.ok() ? rocksdb::IOStatus::NoSpace("No space left on device") : torn;
  }

  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug)
      override {
    return failing() ? rocksdb::IOStatus::IOError("Input/output error")
                     : FSWritableFileOwnerWrapper::Sync(options, debug);
  }

  rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug)
      override {
    return failing() ? rocksdb::IOStatus::IOError("Input/output error")
                     : FSWritableFileOwnerWrapper::Fsync(options, debug);
  }

 private:
  bool failing() const { return fault_ == Fault::kSyncFails; }

  const std::atomic<Fault>& fault_;
};

class FaultFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  explicit FaultFileSystem(const std::atomic<Fault>& fault)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), fault_(fault) {}

  const char* Name() const override { return "FaultFileSystem"; }

  rocksdb::IOStatus NewWritableFile(
      const std::string& name,
      const rocksdb::FileOptions& options,
      std::unique_ptr<rocksdb::FSWritableFile>* result,
      rocksdb::IODebugContext* debug
  ) override {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    const auto status = FileSystemWrapper::NewWritableFile(name, options, &file, debug);
    if (status.ok()) {
      *result = std::make_unique<FaultFile>(std::move(file), fault_);
    }
    return status;
  }

 private:
  const std::atomic<Fault>& fault_;
};

}  // namespace

struct FaultEnv::State {
  std::atomic<Fault> fault = Fault::kNone;
  std::unique_ptr<rocksdb::Env> env =
      rocksdb::NewCompositeEnv(std::make_shared<FaultFileSystem>(fault));
};

FaultEnv::FaultEnv() : state_(std::make_unique<State>()) {}

FaultEnv::~FaultEnv() = default;

rocksdb::Env* FaultEnv::env() {
  return state_->env.get();
}

void FaultEnv::set(Fault fault) {
  state_->fault = fault;
}

std::unique_ptr<Engine> make_memory_engine() {
  return std::make_unique<MemoryEngine>();
}

std::unique_ptr<Engine> make_rocksdb_engine() {
  return std::make_unique<RocksDbEngine>();
}

}  // namespace iotcore::store::test
