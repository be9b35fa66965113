#include "base/check.h"
#include "net/tls_records.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

// Records as a client that has the key can make them: of each, its type, a length and what it says; the first byte tells in how large pieces they
// arrive. Of a type with its high bit set a byte is changed on the way. However they are cut, what comes out is the same.
namespace iotcore::net {
namespace {

TrafficSecret secret() {
  TrafficSecret out;
  out.size = 32;
  return out;
}

const RecordSuite& suite() {
  return *RecordCipher::find_suite(0x1301);
}

std::string wire_of(std::string_view plan) {
  RecordCipher client(suite(), secret(), 0);
  std::string wire;
  while (plan.size() >= 2) {
    const auto type = static_cast<std::uint8_t>(plan[0]);
    const std::string_view plain = plan.substr(2, static_cast<std::uint8_t>(plan[1]));
    plan.remove_prefix(2 + plain.size());
    const std::size_t begin = wire.size();
    wire.resize(begin + plain.size() + RecordCipher::kOverheadBytes);
    client.seal(wire.data() + begin, static_cast<RecordType>(type & 0x7FU), plain);
    if (type == static_cast<std::uint8_t>(RecordType::kHandshake)) {
      client.next_key();  // as if it were a KeyUpdate
    }
    if ((type & 0x80U) != 0) {
      char& changed = wire[begin + type % (wire.size() - begin)];
      changed = static_cast<char>(changed ^ 1);
    }
  }
  return wire;
}

struct Outcome {
  std::string data;
  IoStatus status = IoStatus::kWouldBlock;

  bool operator==(const Outcome&) const = default;
};

Outcome read_all(std::string_view wire, std::size_t piece) {
  std::array<int, 2> ends = {};
  IOTCORE_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) == 0);
  TlsRecords records(suite(), secret(), secret(), 0, {});
  std::string buffer(TlsRecords::kReadBytesMin, '\0');
  Outcome out;
  for (std::size_t at = 0; at < wire.size() && out.status == IoStatus::kWouldBlock; at += piece) {
    const std::string_view part = wire.substr(at, piece);
    IOTCORE_CHECK(send(ends[1], part.data(), part.size(), 0) == static_cast<ssize_t>(part.size()));
    do {
      const ReadResult result = records.read(ends[0], buffer);
      IOTCORE_CHECK(result.bytes <= buffer.size());
      out.data.append(buffer, 0, result.bytes);
      out.status = result.status;
    } while (out.status == IoStatus::kOk);
  }
  close(ends[0]);
  close(ends[1]);
  return out;
}

}  // namespace
}  // namespace iotcore::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace iotcore::net;
  constexpr std::size_t kPlanMax = 4096;  // a socket holds it
  if (size == 0 || size > kPlanMax) {
    return 0;
  }
  const std::string wire = wire_of({reinterpret_cast<const char*>(data) + 1, size - 1});
  const Outcome whole = read_all(wire, std::max<std::size_t>(wire.size(), 1));
  IOTCORE_CHECK(read_all(wire, 1 + data[0] % 64) == whole);
  return 0;
}
