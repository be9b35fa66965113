#pragma once

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

// decode(bytes, 'proto', bucket, key, file, message): messages of types that are known only by descriptor sets (`protoc --descriptor_set_out`), which
// stand in folders as bucket/key. Any thread.
class ProtobufDecoder {
 public:
  // Looked through in this order.
  ProtobufDecoder(std::vector<std::filesystem::path> folders, const Clock& clock);
  ~ProtobufDecoder();

  // Arguments as an external function gets them, the bytes in base64; answers JSON text. Reads the descriptor set if it has none that is at most 15
  // minutes old. kNotFound, kInvalidRequest, kPayloadTooLarge.
  Result<std::string> decode(const json::array& arguments);
  // The same for who may not read files: nothing if it would have to.
  std::optional<Result<std::string>> decode_if_cached(const json::array& arguments);

  static constexpr std::size_t kDescriptorBytesMax = 32U << 10;
  static constexpr std::size_t kBytesMax = 128U << 10;  // in, and out

 private:
  struct Address;
  class Type;

  static Result<Address> address_of(const json::array& arguments);
  static Result<std::string> decode_as(const Type& type, const json::array& arguments);
  std::shared_ptr<const Type> cached(const Address& address);
  Result<std::string> read_descriptors(const Address& address) const;

  const std::vector<std::filesystem::path> folders_;
  const Clock& clock_;
  std::mutex mutex_;  // and what follows
  // By bucket, key, file and message; shared with who decodes while it is replaced.
  std::map<std::string, std::shared_ptr<const Type>> types_;
};

}  // namespace iotcore::rules
