#include "base/files.h"
#include "registry/pki/certificate.h"
#include "server/api_client.h"
#include "server/commands.h"

#include <cstdio>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace iotcore::server {
namespace {

class Report {
 public:
  void ok(const std::string& what) { line("ok     ", what); }

  void advise(const std::string& what) { line("advice ", what); }

  void bad(const std::string& what) {
    line("BAD    ", what);
    good_ = false;
  }

  bool good() const { return good_; }

 private:
  static void line(const char* verdict, const std::string& what) {
    std::printf("%s%s\n", verdict, what.c_str());
  }

  bool good_ = true;
};

void check_folder(const Config& config, Report& report) {
  std::error_code error;
  if (!std::filesystem::exists(config.data_dir, error)) {
    report.advise(
        "data_dir " + config.data_dir.string() + " is not there yet: the first start makes it"
    );
    return;
  }
  if (::access(config.data_dir.c_str(), W_OK) != 0) {
    report.bad("data_dir " + config.data_dir.string() + " cannot be written by this user");
    return;
  }
  struct statvfs disk = {};
  if (::statvfs(config.data_dir.c_str(), &disk) == 0) {
    const double free_share = static_cast<double>(disk.f_bavail) /
                              static_cast<double>(std::max<fsblkcnt_t>(disk.f_blocks, 1));
    const std::string text =
        std::to_string(static_cast<int>(free_share * 100)) + " % of the disk of data_dir is free";
    free_share < 0.1 ? report.bad(text + ": make room before it is full") : report.ok(text);
  }
}

void check_files_limit(const Config& config, Report& report) {
  rlimit limit = {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const std::string text = std::to_string(limit.rlim_cur) + " open files are allowed";
  if (limit.rlim_cur < 65'536 && limit.rlim_cur < config.connections_max) {
    report.advise(text + ": that also bounds connections (ulimit -n, or LimitNOFILE= of the unit)");
  } else {
    report.ok(text);
  }
}

void check_certificate(const std::filesystem::path& file, Report& report) {
  const Result<std::string> pem = read_file(file);
  if (!pem) {
    return;  // the first start makes it
  }
  const auto certificate = registry::pki::parse_certificate_pem(*pem);
  if (!certificate) {
    report.bad(file.string() + ": " + certificate.error().message());
    return;
  }
  const auto left = certificate->not_after - SystemClock().wall();
  const auto days = std::chrono::duration_cast<std::chrono::hours>(left).count() / 24;
  const std::string text =
      file.string() + " is valid for another " + std::to_string(days) + " days";
  days < 0    ? report.bad(file.string() + " has expired")
  : days < 30 ? report.advise(text)
              : report.ok(text);
}

void check_server(const Config& config, Report& report) {
  const auto client = ApiClient::open(config.data_dir);
  if (!client) {
    report.advise(client.error().message());
    return;
  }
  const auto listed = client->call("GET", "/things?maxResults=1");
  listed ? report.ok("the server answers on its API")
         : report.bad("the server does not answer as it should: " + listed.error().message());
}

}  // namespace

bool run_doctor(const Config& config) {
  Report report;
  check_folder(config, report);
  check_files_limit(config, report);
  check_certificate(config.data_dir / "ca.pem", report);
  check_certificate(config.data_dir / "server.pem", report);
  check_server(config, report);
  return report.good();
}

}  // namespace iotcore::server
