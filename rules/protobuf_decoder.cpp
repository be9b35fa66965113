#include "rules/protobuf_decoder.h"

#include "base/crypto.h"
#include "base/files.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/util/json_util.h>

namespace iotcore::rules {
namespace {

namespace pb = google::protobuf;

constexpr std::chrono::minutes kLife{15};
constexpr std::size_t kTypesMax = 1000;

// What is wrong with a descriptor set goes into the answer, not to standard error.
class FirstError final : public pb::DescriptorPool::ErrorCollector {
 public:
  void AddError(
      const std::string& file,
      const std::string& element,
      const pb::Message* /*descriptor*/,
      ErrorLocation /*location*/,
      const std::string& message
  ) override {
    if (text.empty()) {
      text = fmt::format("{}: {}: {}", file, element, message);
    }
  }

  std::string text;
};

bool stays_inside(std::string_view path) {
  return !path.empty() && !path.starts_with('/') && path.find("..") == std::string_view::npos &&
         path.find('\0') == std::string_view::npos;
}

}  // namespace

struct ProtobufDecoder::Address {
  std::string bucket;
  std::string key;
  std::string file;
  std::string message;

  std::string text() const { return fmt::format("{}/{} {} {}", bucket, key, file, message); }
};

// One message type of one descriptor set.
class ProtobufDecoder::Type {
 public:
  static Result<std::shared_ptr<const Type>> make(
      const Address& address, const std::string& descriptors, MonotonicTime end
  ) {
    pb::FileDescriptorSet set;
    if (!set.ParseFromString(descriptors)) {
      return fail(
          Errc::kInvalidRequest,
          fmt::format("{}/{} is not a descriptor set", address.bucket, address.key)
      );
    }
    auto type = std::make_shared<Type>(end);
    FirstError error;
    for (const pb::FileDescriptorProto& file : set.file()) {
      if (type->pool_.BuildFileCollectingErrors(file, &error) == nullptr) {
        return fail(Errc::kInvalidRequest, error.text);
      }
    }
    const pb::FileDescriptor* file = type->pool_.FindFileByName(address.file);
    if (file == nullptr) {
      return fail(
          Errc::kNotFound,
          fmt::format("{}/{} has no file {}", address.bucket, address.key, address.file)
      );
    }
    const std::string full_name =
        file->package().empty() || address.message.starts_with(file->package() + ".")
            ? address.message
            : file->package() + "." + address.message;
    const pb::Descriptor* message = type->pool_.FindMessageTypeByName(full_name);
    if (message == nullptr || message->file() != file) {
      return fail(
          Errc::kNotFound, fmt::format("{} has no message {}", address.file, address.message)
      );
    }
    type->prototype_ = type->factory_.GetPrototype(message);
    return std::shared_ptr<const Type>(std::move(type));
  }

  explicit Type(MonotonicTime end) : end_(end), factory_(&pool_) {}

  MonotonicTime end() const { return end_; }

  Result<std::string> to_json(const std::string& bytes) const {
    const std::unique_ptr<pb::Message> message(prototype_->New());
    if (!message->ParsePartialFromString(bytes) || !message->IsInitialized()) {
      return fail(
          Errc::kInvalidRequest,
          fmt::format("the bytes are no {}", prototype_->GetDescriptor()->full_name())
      );
    }
    pb::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    std::string text;
    const auto status = pb::util::MessageToJsonString(*message, &text, options);
    if (!status.ok()) {
      return fail(Errc::kInvalidRequest, std::string(status.message()));
    }
    if (text.size() > kBytesMax) {
      return fail(
          Errc::kLimitExceeded, fmt::format("the message becomes {} bytes of JSON", text.size())
      );
    }
    return text;
  }

 private:
  const MonotonicTime end_;
  pb::DescriptorPool pool_;
  pb::DynamicMessageFactory factory_;
  const pb::Message* prototype_ = nullptr;
};

ProtobufDecoder::ProtobufDecoder(std::vector<std::filesystem::path> folders, const Clock& clock)
    : folders_(std::move(folders)), clock_(clock) {}

ProtobufDecoder::~ProtobufDecoder() = default;

Result<ProtobufDecoder::Address> ProtobufDecoder::address_of(const json::array& arguments) {
  constexpr std::size_t kArguments = 6;
  for (const json::value& argument : arguments) {
    if (arguments.size() != kArguments || !argument.is_string()) {
      return fail(
          Errc::kInvalidRequest,
          "decode takes bytes, 'proto', a bucket, a key, the name of the .proto file and that of "
          "the message"
      );
    }
  }
  const auto text = [&](std::size_t i) { return std::string(arguments[i].get_string()); };
  Address address{text(2), text(3), text(4), text(5)};
  if (!stays_inside(address.bucket) || !stays_inside(address.key)) {
    return fail(Errc::kInvalidRequest, "bucket and key have no '..' and do not begin with '/'");
  }
  return address;
}

std::shared_ptr<const ProtobufDecoder::Type> ProtobufDecoder::cached(const Address& address) {
  const std::lock_guard lock(mutex_);
  const auto found = types_.find(address.text());
  return found == types_.end() || found->second->end() < clock_.now() ? nullptr : found->second;
}

Result<std::string> ProtobufDecoder::read_descriptors(const Address& address) const {
  for (const std::filesystem::path& folder : folders_) {
    const std::filesystem::path path = folder / address.bucket / address.key;
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) {
      continue;
    }
    if (std::filesystem::file_size(path, error) > kDescriptorBytesMax) {
      return fail(
          Errc::kLimitExceeded,
          fmt::format("{} has more than {} bytes", path.string(), kDescriptorBytesMax)
      );
    }
    return read_file(path, kDescriptorBytesMax);
  }
  return fail(
      Errc::kNotFound, fmt::format("there is no descriptor set {}/{}", address.bucket, address.key)
  );
}

Result<std::string> ProtobufDecoder::decode_as(const Type& type, const json::array& arguments) {
  const std::optional<std::string> bytes = from_base64(std::string_view(arguments[0].get_string()));
  if (!bytes) {
    return fail(Errc::kInvalidRequest, "the first argument is neither bytes nor base64");
  }
  if (bytes->size() > kBytesMax) {
    return fail(Errc::kLimitExceeded, fmt::format("the message has {} bytes", bytes->size()));
  }
  return type.to_json(*bytes);
}

std::optional<Result<std::string>> ProtobufDecoder::decode_if_cached(const json::array& arguments) {
  const Result<Address> address = address_of(arguments);
  if (!address) {
    return Result<std::string>(fail(address.error()));
  }
  const std::shared_ptr<const Type> type = cached(*address);
  return type ? std::optional(decode_as(*type, arguments)) : std::nullopt;
}

Result<std::string> ProtobufDecoder::decode(const json::array& arguments) {
  IOTCORE_ASSIGN(const Address address, address_of(arguments));
  std::shared_ptr<const Type> type = cached(address);
  if (!type) {
    IOTCORE_ASSIGN(const std::string descriptors, read_descriptors(address));
    IOTCORE_ASSIGN(type, Type::make(address, descriptors, clock_.now() + kLife));
    const std::lock_guard lock(mutex_);
    if (types_.size() >= kTypesMax) {
      types_.clear();
    }
    types_[address.text()] = type;
  }
  return decode_as(*type, arguments);
}

}  // namespace iotcore::rules
