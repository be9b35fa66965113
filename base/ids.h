#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace iotcore {

// A string that is one thing and not another.
template <typename Tag>
class StrongString {
 public:
  StrongString() = default;
  explicit StrongString(std::string value) : value_(std::move(value)) {}
  explicit StrongString(std::string_view value) : value_(value) {}
  explicit StrongString(const char* value) : value_(value) {}

  const std::string& str() const { return value_; }
  std::string_view view() const { return value_; }
  bool empty() const { return value_.empty(); }

  friend auto operator<=>(const StrongString&, const StrongString&) = default;

 private:
  std::string value_;
};

using ClientId = StrongString<struct ClientIdTag>;
using ThingName = StrongString<struct ThingNameTag>;
using CertificateId = StrongString<struct CertificateIdTag>;

// A worker thread, 0..worker count - 1.
enum class WorkerId : std::uint16_t {};
inline std::size_t index(WorkerId id) { return static_cast<std::size_t>(id); }

// MQTT packet identifier, 1..65535.
enum class PacketId : std::uint16_t {};

// The same hash for client ids and thing names, on every node and in every version of the program: it decides which
// worker owns a session or a thing (design 2, ownership).
std::uint64_t stable_hash(std::string_view name);

}  // namespace iotcore

template <typename Tag>
struct std::hash<iotcore::StrongString<Tag>> {
  std::size_t operator()(const iotcore::StrongString<Tag>& s) const {
    return iotcore::stable_hash(s.view());
  }
};
