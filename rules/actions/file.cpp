#include "rules/actions/file.h"

#include "rules/actions/file_writer.h"
#include "rules/member_reader.h"
#include "rules/sink_path.h"

#include <array>

namespace iotcore::rules::actions {
namespace {

class FileAction final : public Action {
 public:
  FileAction(std::string path, std::string format, std::int64_t rotate_bytes)
      : path_(std::move(path)), fields_{std::move(format), std::to_string(rotate_bytes)} {}

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
  std::string format = members.choice("format", kFormats, kJson);
  constexpr std::int64_t kSmallest = 1024;
  const std::int64_t rotate_bytes =
      members.optional_integer("rotateBytes", kSmallest, std::int64_t{1} << 50).value_or(0);
  for (const std::string_view later : {"rotateSeconds", "compress", "keep"}) {
    members.refuse(later, "is not supported yet");
  }
  return std::make_unique<FileAction>(std::move(checked), std::move(format), rotate_bytes);
}

Result<std::unique_ptr<Sink>> File::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return std::make_unique<FileWriter>(resolve_sink_path(target, environment));
}

}  // namespace iotcore::rules::actions
