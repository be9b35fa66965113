#include "rules/actions/s3.h"

#include "base/files.h"
#include "rules/actions/aws_sinks.h"
#include "rules/actions/fields_action.h"
#include "rules/actions/s3_endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace iotcore::rules::actions {
namespace {

constexpr auto kAcls = std::to_array<std::string_view>(
    {"private",
     "public-read",
     "public-read-write",
     "aws-exec-read",
     "authenticated-read",
     "bucket-owner-read",
     "bucket-owner-full-control",
     "log-delivery-write"}
);

Status check_acl(std::string_view value) {
  return std::ranges::find(kAcls, value) != kAcls.end()
             ? Status()
             : fail(Errc::kInvalidRequest, fmt::format("'{}' is not a canned ACL", value));
}

Status check_bucket(std::string_view value) {
  return value.find('/') == std::string_view::npos
             ? check_resource_name(value)
             : fail(Errc::kInvalidRequest, fmt::format("'{}' is not the name of a bucket", value));
}

// What can be an object's key and a file's path: no part of it is empty or leads elsewhere.
Status check_key(std::string_view value) {
  constexpr std::size_t kBytesMax = 1024;
  constexpr std::size_t kPartBytesMax = 255;
  bool ok =
      !value.empty() && value.size() <= kBytesMax && value.find('\0') == std::string_view::npos;
  for (std::string_view rest = value; ok;) {
    const std::size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    ok = !part.empty() && part != "." && part != ".." && part.size() <= kPartBytesMax;
    if (slash == std::string_view::npos) {
      break;
    }
    rest.remove_prefix(slash + 1);
  }
  return ok ? Status()
            : fail(
                  Errc::kInvalidRequest,
                  fmt::format(
                      "'{}' is not a key of 1 to 1024 bytes whose parts between slashes are names",
                      value
                  )
              );
}

constexpr auto kFields = std::to_array<FieldSpec>({
    {.member = "bucketName", .check = check_bucket},
    {.member = "key", .check = check_key},
    {.member = "cannedAcl",
     .kind = FieldKind::kText,
     .presence = Presence::kOptional,
     .check = check_acl},
});
static_assert(kFields.size() == kS3FieldCount);

// AWS's own examples spell it so.
constexpr auto kFieldsInOldSpelling = std::to_array<FieldSpec>({
    kFields[kBucket],
    kFields[kObjectKey],
    {.member = "cannedacl",
     .kind = FieldKind::kText,
     .presence = Presence::kOptional,
     .check = check_acl},
});

constexpr ActionSpec kSpec = {
    .kind = S3::kName, .fields = kFields, .name = kBucket, .order_by = kObjectKey};
constexpr ActionSpec kSpecInOldSpelling = {
    .kind = S3::kName, .fields = kFieldsInOldSpelling, .name = kBucket, .order_by = kObjectKey};

class ObjectFolder final : public Sink {
 public:
  explicit ObjectFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    deliver_in_order(batch, outcomes, [this](const Record& record) { return write(record); });
  }

  Status probe() override {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    return error ? fail(Errc::kStoreIo, folder_.string() + ": " + error.message()) : Status();
  }

 private:
  Outcome write(const Record& record) const {
    if (record.fields.size() != kS3FieldCount) {
      return Outcome::permanent("not a record of this kind");
    }
    const std::filesystem::path path = folder_ / record.fields[kBucket] / record.fields[kObjectKey];
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    // What S3 allows and a file system does not: an object whose key goes on where another's ends.
    if (error == std::errc::not_a_directory || error == std::errc::file_exists) {
      return Outcome::permanent("another object is where the key has a folder: " + path.string());
    }
    if (!error && std::filesystem::is_directory(path, error)) {
      return Outcome::permanent("the key is a folder of other objects: " + path.string());
    }
    const Status written = write_file(path, record.payload, FileMode::kPublic);
    return written ? Outcome() : Outcome::retry(written.error().message());
  }

  const std::filesystem::path folder_;
};

Result<std::unique_ptr<Sink>> make_built_in(const SinkEnvironment& environment) {
  return std::make_unique<ObjectFolder>(environment.folder / "objects");
}

constexpr AwsSinks kSinks = {S3::kName, &field_of<kBucket>, &make_built_in, &make_s3_endpoint};

}  // namespace

ParsedAction S3::parse(MemberReader& members, const SinkEnvironment& environment) {
  return parse_fields(members, environment, members.has("cannedacl") ? kSpecInOldSpelling : kSpec);
}

Result<std::unique_ptr<Sink>> S3::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_aws_sink(target, environment, kSinks, &make_sink);
}

}  // namespace iotcore::rules::actions
