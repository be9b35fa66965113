#pragma once

#include "store/table.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace iotcore::store {

// Of the commit that last wrote a row; increases over the whole store, never reused.
enum class Revision : std::uint64_t {};

constexpr std::uint64_t number(Revision revision) {
  return static_cast<std::uint64_t>(revision);
}

// One operation of a batch; the views point into the batch and live as long as it stands unchanged.
struct OperationView {
  enum class Kind : std::uint8_t { kPut, kErase, kEraseRange, kExpectAbsent, kExpectRevision };

  Kind kind;
  Table table;
  std::string_view key;    // kEraseRange: the first key
  std::string_view value;  // kPut: the value; kEraseRange: the end, not included

  Revision expected() const;  // kExpectRevision
};

// Writes that happen all together or not at all, and only if every expectation holds. Operations
// take effect in their order; expectations look at the rows before the batch. One buffer: no
// allocation per operation.
class Batch {
 public:
  explicit Batch(std::size_t reserve_bytes = 0) { buffer_.reserve(reserve_bytes); }

  void put(Table table, std::string_view key, std::string_view value);
  void erase(Table table, std::string_view key);
  // Keys in [from, to). For many keys: a few are cheaper erased one by one, since a range costs
  // every later read a little.
  void erase_range(Table table, std::string_view from, std::string_view to);
  void erase_prefix(Table table, std::string_view prefix);
  // Everything that is in another one.
  void append(const Batch& other);
  void expect_absent(Table table, std::string_view key);
  void expect_revision(Table table, std::string_view key, Revision revision);

  bool empty() const { return buffer_.empty(); }

  std::uint32_t writes() const { return writes_; }

  std::uint32_t expectations() const { return expectations_; }

  std::size_t size_bytes() const { return buffer_.size(); }

  // Calls visit(const OperationView&) for each operation in order.
  template <typename Visitor>
  void for_each(Visitor&& visit) const {
    std::string_view left = buffer_;
    while (!left.empty()) {
      visit(next(left));
    }
  }

 private:
  void append(OperationView::Kind kind, Table table, std::string_view key, std::string_view value);
  static OperationView next(std::string_view& left);

  std::string buffer_;
  std::uint32_t writes_ = 0;
  std::uint32_t expectations_ = 0;
};

}  // namespace iotcore::store
