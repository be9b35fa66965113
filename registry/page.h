#pragma once

#include "store/store.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry {

// One page of a list: rows of one prefix, in their order. A token is the key of the last row of the
// page before, in base64: it holds however the rows around it change, and one that is made up or
// belongs to another list is refused.
class PageRequest {
 public:
  // kInvalidRequest on a token that was not given out for this prefix.
  static Result<PageRequest> make(
      store::Table table,
      std::string_view prefix,
      std::optional<std::string_view> token,
      std::optional<int> size,
      std::size_t default_size = 250
  );

  std::size_t size() const { return size_; }

 private:
  friend class PageReader;
  store::Table table_ = {};
  std::string prefix_;
  std::string from_;
  std::size_t size_ = 0;
};

// Rows that follow one another, with the token that stands behind the last one taken.
class PageReader {
 public:
  PageReader(store::Store& store, PageRequest request)
      : store_(store), request_(std::move(request)) {}

  // Up to `wanted` further rows; fewer at the end of the list.
  Result<std::vector<store::Entry>> next(std::size_t wanted);

  // One page, whole.
  Result<std::vector<store::Entry>> page() { return next(request_.size()); }

  // Absent at the end of the list.
  const std::optional<std::string>& token() const { return token_; }

 private:
  store::Store& store_;
  PageRequest request_;
  std::optional<std::string> token_;
};

inline std::optional<std::string_view> optional_text(bool present, std::string_view text) {
  return present ? std::optional<std::string_view>(text) : std::nullopt;
}

inline std::optional<int> optional_size(bool present, int size) {
  return present ? std::optional<int>(size) : std::nullopt;
}

// One page of rows to a response of AWS's nextToken style: `each` gets every row and gives a Status.
template <typename Request, typename Response, typename Each>
Status read_page(
    store::Store& store,
    store::Table table,
    std::string_view prefix,
    const Request& request,
    Response& response,
    Each each
) {
  IOTCORE_ASSIGN(
      PageRequest page,
      PageRequest::make(
          table,
          prefix,
          optional_text(request.has_next_token(), request.next_token()),
          optional_size(request.has_max_results(), request.max_results())
      )
  );
  PageReader reader(store, std::move(page));
  IOTCORE_ASSIGN(const std::vector<store::Entry> rows, reader.page());
  for (const store::Entry& row : rows) {
    IOTCORE_TRY(each(row));
  }
  if (reader.token()) {
    response.set_next_token(*reader.token());
  }
  return {};
}

// The last text segment of a key of texts.
std::string last_segment_of(std::string_view key);
// The text segment at `index` (from 0) behind the kind of a key; empty if the key has another form.
std::string segment_of(std::string_view key, int index);

}  // namespace iotcore::registry
