#pragma once

#include "store/batch.h"
#include "store/watch_list.h"

#include <span>
#include <vector>

namespace iotcore::store {

// A write and the revision that its row gets. Points into the batch.
struct WriteView {
  OperationView operation;
  Revision revision;
};

// Puts the writes of a group into `out` in the order of their tables and keys, if that pays: many rows of the tables that a fleet is taken into. A memtable's
// skip list then finds each row's place from its neighbour's instead of from the front. False: the writes go as they are, and `out` is empty.
//
// Who reads cannot tell: a group becomes visible as a whole, and is in the log as a whole or not at all. Writes of the same row stay in their order, so that the
// last one counts. A deletion of a range concerns rows that stand elsewhere in the order: a group that has one is left as it is. Pure.
bool order_writes(std::span<const AcceptedView> group, std::vector<WriteView>& out);

}  // namespace iotcore::store
