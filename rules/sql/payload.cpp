#include "rules/sql/payload.h"

namespace iotcore::rules::sql {

void ParsedPayload::read() {
  const std::size_t first = bytes_.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || (bytes_[first] != '{' && bytes_[first] != '[')) {
    state_ = State::kBytes;  // a bare JSON scalar is treated as bytes too
    return;
  }
  state_ = tape_.parse(bytes_) ? State::kJson : State::kMalformed;
}

}  // namespace iotcore::rules::sql
