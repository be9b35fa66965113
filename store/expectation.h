#pragma once

#include "base/result.h"
#include "store/batch.h"

#include <optional>
#include <string_view>
#include <utility>

namespace iotcore::store {

// Holds a batch's expectations against revision_of(Table, key) -> Result<optional<Revision>>. The
// key is not in the message: it may name what the one who asked may not know.
template <typename RevisionOf>
Status check_expectations(const Batch& batch, RevisionOf&& revision_of) {
  if (batch.expectations() == 0) {
    return {};
  }
  Status status;
  batch.for_each([&](const OperationView& operation) {
    const bool absent = operation.kind == OperationView::Kind::kExpectAbsent;
    if (!status || (!absent && operation.kind != OperationView::Kind::kExpectRevision)) {
      return;
    }
    Result<std::optional<Revision>> found = revision_of(operation.table, operation.key);
    if (!found) {
      status = fail(std::move(found).error());
    } else if (absent && found->has_value()) {
      status = fail(Errc::kRevisionConflict, "the row exists already");
    } else if (!absent && *found != operation.expected()) {
      status = fail(Errc::kRevisionConflict, "the row has changed since it was read");
    }
  });
  return status;
}

}  // namespace iotcore::store
