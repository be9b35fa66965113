#include "rules/sink_path.h"

#include <fmt/format.h>

namespace iotcore::rules {

Result<std::string> check_sink_path(std::string_view path, const SinkEnvironment& environment) {
  const auto refuse = [&](std::string_view why) {
    return fail(Errc::kInvalidRequest, fmt::format("'{}' {}", path, why));
  };
  constexpr std::size_t kBytesMax = 1024;
  if (path.empty() || path.size() > kBytesMax || path.find('\0') != std::string_view::npos) {
    return refuse("is not the name of a file");
  }
  if (path.find("${") != std::string_view::npos) {
    return refuse("has ${…} in it: a file's name does not depend on the message");
  }
  const std::filesystem::path normal = std::filesystem::path(path).lexically_normal();
  if (!normal.has_filename() || normal.filename() == "." || normal.filename() == "..") {
    return refuse("names a folder");
  }
  if (normal.is_absolute()) {
    if (!environment.allow_absolute_paths) {
      return refuse(
          "is an absolute path; a relative one is below the data folder's sinks/, others are "
          "allowed "
          "by rules.allow_absolute_paths"
      );
    }
  } else if (*normal.begin() == "..") {
    return refuse("leads out of the data folder's sinks/");
  }
  return normal.string();
}

std::filesystem::path resolve_sink_path(
    std::string_view checked, const SinkEnvironment& environment
) {
  return environment.folder / std::filesystem::path(checked);
}

}  // namespace iotcore::rules
