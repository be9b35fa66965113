#include "registry/page.h"

#include "base/crypto.h"
#include "store/keys.h"

#include <algorithm>

namespace iotcore::registry {

Result<PageRequest> PageRequest::make(
    store::Table table,
    std::string_view prefix,
    std::optional<std::string_view> token,
    std::optional<int> size,
    std::size_t default_size
) {
  PageRequest request;
  request.table_ = table;
  request.prefix_ = prefix;
  request.size_ = size ? static_cast<std::size_t>(std::max(*size, 1)) : default_size;
  if (token) {
    const std::optional<std::string> last = from_base64(*token);
    if (!last || last->empty() || last->substr(0, prefix.size()) != prefix) {
      return fail(Errc::kInvalidRequest, "Invalid pagination token");
    }
    request.from_ = store::key_after(*last);
  }
  return request;
}

std::string segment_of(std::string_view key, int index) {
  store::KeyReader reader(key);
  reader.kind();
  std::optional<std::string> segment;
  for (int i = 0; i <= index; ++i) {
    segment = reader.text();
  }
  return segment.value_or(std::string());
}

std::string last_segment_of(std::string_view key) {
  store::KeyReader reader(key);
  reader.kind();
  std::string last;
  while (auto segment = reader.text()) {
    last = *std::move(segment);
  }
  return last;
}

Result<std::vector<store::Entry>> PageReader::next(std::size_t wanted) {
  // One more than wanted tells whether there is another page.
  IOTCORE_ASSIGN(
      std::vector<store::Entry> rows,
      store_.scan(request_.table_, request_.prefix_, request_.from_, wanted + 1)
  );
  token_.reset();
  if (rows.size() > wanted) {
    rows.pop_back();
    token_ = to_base64(rows.back().key);
    request_.from_ = store::key_after(rows.back().key);
  }
  return rows;
}

}  // namespace iotcore::registry
