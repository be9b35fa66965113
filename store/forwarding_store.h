#pragma once

#include "store/store.h"

#include <utility>

namespace iotcore::store {

// Passes every call on to another store, which outlives it: for those that change one or two of them, such as the stores of tests.
class ForwardingStore : public Store {
 public:
  explicit ForwardingStore(Store& inner) : inner_(inner) {}

  Result<std::optional<Row>> get(Table table, std::string_view key) override {
    return inner_.get(table, key);
  }

  std::optional<Row> get_cached(Table table, std::string_view key) override {
    return inner_.get_cached(table, key);
  }

  Result<std::vector<std::optional<Row>>> multi_get(Table table, std::span<const std::string> keys)
      override {
    return inner_.multi_get(table, keys);
  }

  Result<std::vector<Entry>> scan(
      Table table, std::string_view prefix, std::string_view from, std::size_t limit
  ) override {
    return inner_.scan(table, prefix, from, limit);
  }

  void commit(Batch batch, Executor* on, CommitDone done) override {
    inner_.commit(std::move(batch), on, std::move(done));
  }

  [[nodiscard]] Watch watch(
      Table table, std::string_view prefix, Executor& on, Function<void(const Change&)> changed
  ) override {
    return inner_.watch(table, prefix, on, std::move(changed));
  }

  Status checkpoint(const std::filesystem::path& dir) override { return inner_.checkpoint(dir); }

  Health health() const override { return inner_.health(); }

  std::uint64_t failures() const override { return inner_.failures(); }

  Executor& readers() override { return inner_.readers(); }

 protected:
  Store& inner() { return inner_; }

  const Store& inner() const { return inner_; }

 private:
  Store& inner_;
};

}  // namespace iotcore::store
