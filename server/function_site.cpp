#include "server/function_site.h"

namespace iotcore::server {
namespace {

// Beside an installed server, or in the sources that it was built from.
std::filesystem::path find_runtimes() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path installed =
      program.parent_path().parent_path() / "share/iotcore/functions";
  if (std::filesystem::is_directory(installed, error)) {
    return installed;
  }
  for (std::filesystem::path folder = program.parent_path(); folder.has_relative_path();
       folder = folder.parent_path()) {
    const std::filesystem::path sources = folder / "deploy/functions";
    if (std::filesystem::is_directory(sources / "python", error)) {
      return sources;
    }
  }
  return {};
}

}  // namespace

functions::Site function_site(const Config& config, const std::filesystem::path& data_dir) {
  functions::Site site;
  std::error_code error;
  site.base = std::filesystem::absolute(data_dir, error);
  site.hidden = site.base;
  site.runtimes =
      config.functions_runtimes_dir.empty() ? find_runtimes() : config.functions_runtimes_dir;
  site.user = config.functions_user;
  site.must_isolate = config.functions_require_isolation;
  site.region = config.aws_region;
  site.account = config.aws_account;
  return site;
}

}  // namespace iotcore::server
