#include "base/clock.h"
#include "base/files.h"
#include "base/json.h"
#include "registry/pki/certificate.h"
#include "server/api_client.h"
#include "server/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <netdb.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/vfs.h>
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

bool is_in_memory(const std::filesystem::path& folder) {
  constexpr long kTmpfs = 0x01021994;
  constexpr long kRamfs = 0x858458F6;
  struct statfs kind = {};
  return ::statfs(folder.c_str(), &kind) == 0 && (kind.f_type == kTmpfs || kind.f_type == kRamfs);
}

void check_space(const Config& config, Report& report) {
  struct statvfs disk = {};
  if (::statvfs(config.data_dir.c_str(), &disk) != 0) {
    return;
  }
  const auto percent = [](fsblkcnt_t part, fsblkcnt_t whole) {
    return static_cast<int>(part * 100 / std::max<fsblkcnt_t>(whole, 1));
  };
  const int space = percent(disk.f_bavail, disk.f_blocks);
  const std::string text = fmt::format("{} % of the disk of data_dir is free", space);
  if (space < static_cast<int>(config.rules_disk_free_min_percent)) {
    report.bad(
        text + ": make room, publishers of rules' records are held back below " +
        fmt::format("{} % (rules.disk_free_min_percent)", config.rules_disk_free_min_percent)
    );
  } else {
    space < 20 ? report.advise(text + ": make room before it is full") : report.ok(text);
  }
  if (disk.f_files != 0 && percent(disk.f_favail, disk.f_files) < 5) {
    report.bad("less than 5 % of the inodes of data_dir's disk are free: remove small files");
  }
}

// What every acknowledgement waits for.
void check_sync(const Config& config, Report& report) {
  constexpr int kWrites = 8;
  constexpr double kSlowMs = 20;
  const std::filesystem::path file = config.data_dir / ".doctor";
  const int fd = ::open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) {
    report.bad(fmt::format("no file can be made in data_dir: {}", std::strerror(errno)));
    return;
  }
  const SystemClock clock;
  std::array<double, kWrites> took = {};
  bool good = true;
  for (double& each : took) {
    const MonotonicTime begin = clock.now();
    good = good && ::write(fd, "doctor\n", 7) == 7 && ::fdatasync(fd) == 0;
    each = std::chrono::duration<double, std::milli>(clock.now() - begin).count();
  }
  ::close(fd);
  ::unlink(file.c_str());
  std::ranges::sort(took);
  const std::string text =
      fmt::format("a synced write to data_dir takes {:.1f} ms", took[kWrites / 2]);
  if (!good) {
    report.bad("a synced write to data_dir fails: look at the disk and at the kernel's log");
  } else if (took[kWrites / 2] > kSlowMs) {
    report.advise(text + ": each acknowledgement waits for one; use a disk of its own, or an SSD");
  } else {
    report.ok(text);
  }
}

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
  check_space(config, report);
  check_sync(config, report);
  if (is_in_memory(config.data_dir)) {
    report.advise("data_dir lies in memory: everything is gone when the machine is");
  }
  if (config.store_durability != "sync") {
    report.advise(
        "store.durability is " + config.store_durability +
        ": what is acknowledged may be lost when the machine goes down"
    );
  }
}

// Who can read these, is the server, or its administrator.
void check_secrets(const Config& config, Report& report) {
  const std::array files = {
      config.security_key_file.empty() ? config.data_dir / "sealing.key" : config.security_key_file,
      config.data_dir / "credentials",
      config.data_dir / "ca.key",
      config.data_dir / "intermediate.key",
      config.tls_key_file};
  bool all_good = true;
  for (const std::filesystem::path& file : files) {
    struct stat info = {};
    if (file.empty() || ::stat(file.c_str(), &info) != 0) {
      continue;
    }
    if ((info.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0) {
      report.bad(fmt::format("{0} can be read or written by others: chmod 600 {0}", file.string()));
      all_good = false;
    }
  }
  if (all_good) {
    report.ok("keys can be read by nobody else");
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

void check_memory(const Config& config, Report& report) {
  const auto pages = static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES));
  const std::size_t machine = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  constexpr double kMiB = 1 << 20;
  const std::size_t asked = config.mqtt.memory_bytes_max + config.store_cache_bytes;
  if (asked > machine) {
    report.bad(fmt::format(
        "mqtt.memory_bytes_max and store.cache_bytes are {:.0f} MiB together, the machine has "
        "{:.0f}",
        static_cast<double>(asked) / kMiB,
        static_cast<double>(machine) / kMiB
    ));
  } else {
    report.ok(
        fmt::format("the machine has {:.0f} MiB of memory", static_cast<double>(machine) / kMiB)
    );
  }
}

void check_backlog(Report& report) {
  constexpr int kEnough = 1024;
  const Result<std::string> text = read_file("/proc/sys/net/core/somaxconn");
  const int backlog = text ? std::atoi(text->c_str()) : kEnough;
  if (backlog < kEnough) {
    report.advise(fmt::format(
        "net.core.somaxconn is {}: when all devices come at once, some have to try again; sysctl "
        "-w "
        "net.core.somaxconn=4096",
        backlog
    ));
  }
}

void check_clock(Report& report) {
  constexpr std::int64_t kLongAgo = 1'700'000'000;
  if (to_epoch_s(SystemClock().wall()) < kLongAgo) {
    report.bad(
        "the clock stands before 2024: signatures and certificates are refused; set it by NTP"
    );
    return;
  }
  timex state = {};
  const int answer = ::adjtimex(&state);
  if (answer == TIME_ERROR || (state.status & STA_UNSYNC) != 0) {
    report.advise(
        "the kernel does not know that the clock is synchronised: signatures may be a few minutes "
        "off at most (api.clock_skew_s); run chrony or systemd-timesyncd, if the host does not"
    );
  } else {
    report.ok("the clock is synchronised");
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
  const WallTime now = SystemClock().wall();
  const auto days =
      std::chrono::duration_cast<std::chrono::hours>(certificate->not_after - now).count() / 24;
  const std::string text =
      file.string() + " is valid for another " + std::to_string(days) + " days";
  if (certificate->not_after < now) {
    report.bad(file.string() + " has expired: renew it; iotcore's own are renewed at a start");
  } else if (certificate->not_before > now) {
    report.bad(file.string() + " is not valid yet: is the clock right?");
  } else if (days < 30) {
    report.advise(text + ": renew it");
  } else {
    report.ok(text);
  }
}

void check_certificates(const Config& config, Report& report) {
  for (const char* name : {"ca.pem", "intermediate.pem", "server.pem"}) {
    check_certificate(config.data_dir / name, report);
  }
  if (config.tls_certificate_file.empty()) {
    return;
  }
  std::error_code error;
  for (const std::filesystem::path& file : {config.tls_certificate_file, config.tls_key_file}) {
    if (!std::filesystem::exists(file, error)) {
      report.bad(file.string() + ", which the configuration names, is not there");
    }
  }
  check_certificate(config.tls_certificate_file, report);
}

// Null if the port can be had; otherwise why not.
const char* why_not_free(const ListenSetting& listen) {
  addrinfo wanted = {};
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(listen.port);
  if (::getaddrinfo(listen.host.c_str(), port.c_str(), &wanted, &found) != 0) {
    return "the address is not known here";
  }
  const char* why = nullptr;
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd, found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd, 1) != 0) {
    why = errno == EADDRINUSE      ? "another process has it: ss -ltnp says which"
          : errno == EACCES        ? "it takes a privilege: choose one above 1023, or allow it"
          : errno == EADDRNOTAVAIL ? "this machine does not have the address"
                                   : "it cannot be bound";
  }
  ::close(fd);
  ::freeaddrinfo(found);
  return why;
}

void check_ports(const Config& config, Report& report) {
  const std::array<std::pair<const char*, const ListenSetting*>, 5> faces = {{
      {"mqtt", &config.listen_mqtt},
      {"mqtts", &config.listen_mqtts},
      {"http", &config.listen_http},
      {"https", &config.listen_https},
      {"admin", &config.listen_admin},
  }};
  for (const auto& [name, listen] : faces) {
    if (!listen->is_on() || listen->port == 0) {
      continue;
    }
    const std::string text = fmt::format("listen.{} {}:{}", name, listen->host, listen->port);
    const char* why = why_not_free(*listen);
    why == nullptr ? report.ok(text + " is free") : report.bad(text + ": " + why);
  }
  if (config.listen_admin.is_on() && config.listen_admin.host != "127.0.0.1" &&
      config.listen_admin.host != "::1" && config.listen_admin.host != "localhost") {
    report.advise(
        "listen.admin answers without credentials, and not on loopback alone: keep it away from "
        "strangers"
    );
  }
}

// Whether it runs; then its ports are its own.
bool check_server(const Config& config, Report& report) {
  const auto client = ApiClient::open(config.data_dir);
  if (!client) {
    report.advise(client.error().message());
    return false;
  }
  const auto listed = client->call("GET", "/things?maxResults=1");
  if (listed) {
    report.ok("the server answers on its API");
  } else if (listed.error().code() == Errc::kUnavailable || listed.error().code() == Errc::kTimeout) {
    report.advise(
        "no server answers on " + config.data_dir.string() + ": it is not running, or stuck"
    );
    return false;
  } else {
    report.bad("the server does not answer as it should: " + listed.error().message());
  }
  return true;
}

}  // namespace

bool run_doctor(const Config& config) {
  Report report;
  report.ok("the configuration is valid (iotcore config print shows it)");
  check_folder(config, report);
  check_secrets(config, report);
  check_files_limit(config, report);
  check_memory(config, report);
  check_backlog(report);
  check_clock(report);
  check_certificates(config, report);
  if (!check_server(config, report)) {
    check_ports(config, report);
  }
  return report.good();
}

}  // namespace iotcore::server
