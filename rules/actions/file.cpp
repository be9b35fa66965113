#include "rules/actions/file.h"

#include "rules/actions/file_writer.h"
#include "rules/member_reader.h"
#include "rules/sink_path.h"

#include <array>

namespace iotcore::rules::actions {
namespace {

class FileAction final : public Action {
 public:
  FileAction(std::string path, Fields fields)
      : path_(std::move(path)), fields_(std::move(fields)) {}

  std::string target() const override { return path_; }

  std::string resource(const Fields& /*fields*/) const override { return path_; }

  Result<Fields> resolve(const ActionInput& input) const override {
    if (!input.is_json && fields_[kFormat] != kRaw) {
      return fail(Errc::kInvalidRequest, "the result is not JSON; only format raw can write it");
    }
    return fields_;
  }

 private:
  std::string path_;
  Fields fields_;
};

}  // namespace

ParsedAction File::parse(MemberReader& members, const SinkEnvironment& environment) {
  static constexpr auto kFormats = std::to_array<std::string_view>({kJson, kCsv, kRaw});
  static constexpr auto kCompressions = std::to_array<std::string_view>({"none", "zstd"});
  const std::string path = members.text("path");
  std::string checked;
  if (!path.empty()) {
    Result<std::string> valid = check_sink_path(path, environment);
    if (valid) {
      checked = std::move(*valid);
    } else {
      members.fail_member("path", valid.error().message());
    }
  }
  constexpr std::int64_t kSmallest = 1024;
  constexpr std::int64_t kYearS = 366 * 86'400;
  Action::Fields fields(kFileFieldCount);
  fields[kFormat] = members.choice("format", kFormats, kJson);
  fields[kRotateBytes] = std::to_string(
      members.optional_integer("rotateBytes", kSmallest, std::int64_t{1} << 50).value_or(0)
  );
  fields[kRotateSeconds] =
      std::to_string(members.optional_integer("rotateSeconds", 1, kYearS).value_or(0));
  const std::string compress = members.choice("compress", kCompressions, "none");
  fields[kCompress] = compress == "none" ? std::string() : compress;
  fields[kKeep] = std::to_string(members.optional_integer("keep", 1, 1'000'000).value_or(0));
  for (const std::string_view name : {"compress", "keep"}) {
    if (members.has(name) && !members.has("rotateBytes") && !members.has("rotateSeconds")) {
      members.fail_member(name, "goes with rotateBytes or rotateSeconds");
    }
  }
  return std::make_unique<FileAction>(std::move(checked), std::move(fields));
}

Result<std::unique_ptr<Sink>> File::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return std::make_unique<FileWriter>(resolve_sink_path(target, environment));
}

}  // namespace iotcore::rules::actions
