#pragma once

#include <cstddef>

namespace iotcore::shadow::document {

struct Limits {
  // desired + reported as compact JSON; metadata is free of charge. AWS raises it to 30 KB on
  // request.
  std::size_t document_bytes_max = 8192;
  // Key levels inside desired or reported.
  std::size_t depth_max = 6;
  std::size_t client_token_bytes_max = 64;
  // The payload of an update as it arrives: white space and nulls are not part of the document.
  std::size_t request_bytes_max = 128 * 1024;
};

}  // namespace iotcore::shadow::document
