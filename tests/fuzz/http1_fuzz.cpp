#include "base/check.h"
#include "net/http_codec.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// The first byte says in how large pieces the rest, what an HTTP client sends, arrives. However it is cut, the same requests come out up to
// the first fault, within the limits.
namespace iotcore::net {
namespace {

constexpr HttpLimits kLimits = {.header_bytes_max = 512, .body_bytes_max = 256};

std::string read_requests(std::string_view wire, std::size_t piece) {
  std::string out;
  std::string kept;
  HttpRequestParser parser(kLimits);
  for (std::size_t at = 0; at < wire.size(); at += piece) {
    kept += wire.substr(at, piece);
    while (!kept.empty()) {
      const Result<std::size_t> taken = parser.put(std::string(kept));
      if (!taken) {
        return out;
      }
      IOTCORE_CHECK(*taken <= kept.size());
      kept.erase(0, *taken);
      if (!parser.done()) {
        break;
      }
      const HttpRequest request = parser.take();
      IOTCORE_CHECK(request.body.size() <= kLimits.body_bytes_max);
      out += request.method + " " + request.target + "\n";
      for (const auto& [name, value] : request.headers) {
        IOTCORE_CHECK(value.find_first_of("\r\n") == std::string::npos);
        out += name + ": " + value + "\n";
      }
      out += request.body + "\n";
      parser = HttpRequestParser(kLimits);
    }
  }
  return out;
}

}  // namespace
}  // namespace iotcore::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace iotcore::net;
  if (size == 0 || size > 4096) {
    return 0;
  }
  const std::string_view wire(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = read_requests(wire, std::max<std::size_t>(wire.size(), 1));
  IOTCORE_CHECK(read_requests(wire, 1) == whole);
  IOTCORE_CHECK(read_requests(wire, 1 + data[0] % 64) == whole);
  return 0;
}
