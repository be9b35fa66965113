#pragma once

#include <string>
#include <string_view>

namespace iotcore::rules::sql {

// RFC 1319, for the function md2(); OpenSSL 3 has it no more. Raw 16 bytes.
std::string md2_digest(std::string_view bytes);

}  // namespace iotcore::rules::sql
