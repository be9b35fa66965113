#pragma once

#include "registry/page.h"

#include <vector>

namespace iotcore::registry {

// One page of rows to a response of AWS's marker style: `take` gets them all at once and gives a Status.
template <typename Request, typename Response, typename Take>
Status read_marker_page(
    store::Store& store,
    store::Table table,
    std::string_view prefix,
    const Request& request,
    Response& response,
    std::size_t default_size,
    Take take
) {
  IOTCORE_ASSIGN(
      PageRequest page,
      PageRequest::make(
          table,
          prefix,
          optional_text(request.has_marker(), request.marker()),
          optional_size(request.has_page_size(), request.page_size()),
          default_size
      )
  );
  PageReader reader(store, std::move(page));
  IOTCORE_ASSIGN(const std::vector<store::Entry> rows, reader.page());
  IOTCORE_TRY(take(rows));
  if (reader.token()) {
    response.set_next_marker(*reader.token());
  }
  return {};
}

}  // namespace iotcore::registry
