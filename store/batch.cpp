#include "store/batch.h"

#include "base/check.h"
#include "store/keys.h"

#include <cstring>

namespace iotcore::store {
namespace {

// In memory only, hence in the machine's own byte order.
struct Header {
  std::uint32_t key_bytes;
  std::uint32_t value_bytes;
  OperationView::Kind kind;
  Table table;
};

}  // namespace

Revision OperationView::expected() const {
  std::uint64_t revision = 0;
  IOTCORE_CHECK(kind == Kind::kExpectRevision && value.size() == sizeof(revision));
  std::memcpy(&revision, value.data(), sizeof(revision));
  return Revision(revision);
}

void Batch::put(Table table, std::string_view key, std::string_view value) {
  append(OperationView::Kind::kPut, table, key, value);
  ++writes_;
}

void Batch::erase(Table table, std::string_view key) {
  append(OperationView::Kind::kErase, table, key, {});
  ++writes_;
}

void Batch::erase_range(Table table, std::string_view from, std::string_view to) {
  if (from >= to) {
    return;
  }
  append(OperationView::Kind::kEraseRange, table, from, to);
  ++writes_;
}

void Batch::erase_prefix(Table table, std::string_view prefix) {
  erase_range(table, prefix, prefix_end(prefix));
}

void Batch::append(const Batch& other) {
  buffer_.append(other.buffer_);
  writes_ += other.writes_;
  expectations_ += other.expectations_;
}

void Batch::expect_absent(Table table, std::string_view key) {
  append(OperationView::Kind::kExpectAbsent, table, key, {});
  ++expectations_;
}

void Batch::expect_revision(Table table, std::string_view key, Revision revision) {
  const std::uint64_t n = number(revision);
  char bytes[sizeof(n)];
  std::memcpy(bytes, &n, sizeof(n));
  append(OperationView::Kind::kExpectRevision, table, key, {bytes, sizeof(n)});
  ++expectations_;
}

void Batch::append(
    OperationView::Kind kind, Table table, std::string_view key, std::string_view value
) {
  if (kind != OperationView::Kind::kEraseRange) {
    IOTCORE_CHECK(!key.empty() && key.front() != '\xff');
  }
  IOTCORE_CHECK(key.size() <= UINT32_MAX && value.size() <= UINT32_MAX);
  Header header = {};
  header.key_bytes = static_cast<std::uint32_t>(key.size());
  header.value_bytes = static_cast<std::uint32_t>(value.size());
  header.kind = kind;
  header.table = table;
  char bytes[sizeof(Header)];
  std::memcpy(bytes, &header, sizeof(Header));
  buffer_.append(bytes, sizeof(Header));
  buffer_.append(key);
  buffer_.append(value);
}

OperationView Batch::next(std::string_view& left) {
  Header header = {};
  IOTCORE_CHECK(left.size() >= sizeof(Header));
  std::memcpy(&header, left.data(), sizeof(Header));
  left.remove_prefix(sizeof(Header));
  const OperationView operation = {
      header.kind,
      header.table,
      left.substr(0, header.key_bytes),
      left.substr(header.key_bytes, header.value_bytes)};
  left.remove_prefix(operation.key.size() + operation.value.size());
  return operation;
}

}  // namespace iotcore::store
