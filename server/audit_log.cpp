#include "server/audit_log.h"

#include "base/json.h"
#include "base/log.h"
#include "gateway/operations.h"
#include "registry/arn.h"
#include "registry/operators.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace iotcore::server {
namespace {

// Text that a caller chose is cut: a line stays a line of bounded length.
constexpr std::size_t kTextBytesMax = 512;
constexpr std::size_t kResourcesMax = 16;

json::string cut(std::string_view text) {
  json::string out(text.substr(0, kTextBytesMax));
  for (char& c : out) {
    c = static_cast<unsigned char>(c) < 0x80 ? c : '?';
  }
  return out;
}

std::string time_text(WallTime t) {
  const std::int64_t ms = to_epoch_ms(t);
  const std::time_t seconds = ms / 1000;
  std::tm parts = {};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", parts, ms % 1000);
}

std::string_view kind_of(const gateway::CallerIdentity& caller) {
  switch (caller.peer.kind) {
    case broker::PeerIdentity::Kind::kAccessKey:
      return "operator";
    case broker::PeerIdentity::Kind::kCertificate:
      return "certificate";
    default:
      return caller.peer.development ? "development" : "anonymous";
  }
}

}  // namespace

AuditLog::AuditLog(
    std::filesystem::path file,
    std::uint64_t bytes_max,
    std::string account,
    const Clock& clock,
    Metrics& metrics
)
    : file_(std::move(file)),
      bytes_max_(bytes_max),
      account_(std::move(account)),
      clock_(clock),
      lost_(metrics.counter(
          "iotcore_audit_lines_lost_total", "Calls that could not be written to the audit log"
      )) {}

AuditLog::~AuditLog() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

Result<std::unique_ptr<AuditLog>> AuditLog::open(
    std::filesystem::path file,
    std::uint64_t bytes_max,
    std::string account,
    const Clock& clock,
    Metrics& metrics
) {
  std::unique_ptr<AuditLog> opened(
      new AuditLog(std::move(file), bytes_max, std::move(account), clock, metrics)
  );
  IOTCORE_TRY(opened->open_file());
  return opened;
}

Status AuditLog::open_file() {
  const int opened = ::open(file_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (opened < 0) {
    return fail(
        Errc::kStoreIo,
        "audit.file: \"" + file_.string() + "\" cannot be written to: " + std::strerror(errno)
    );
  }
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
  descriptor_ = opened;
  struct stat about = {};
  bytes_ = ::fstat(opened, &about) == 0 ? static_cast<std::uint64_t>(about.st_size) : 0;
  return {};
}

std::string AuditLog::line_of(const gateway::CallRecordView& call) const {
  json::object line;
  line["time"] = time_text(clock_.wall());
  line["requestId"] = cut(call.request_id);
  line["caller"] = kind_of(call.caller);
  if (call.caller.signer != nullptr) {
    registry::Account account;
    account.id = account_;
    line["arn"] = registry::principal_text(account, call.caller.signer->resource);
    line["accessKeyId"] = call.caller.signer->access_key_id;
    if (!call.caller.signer->session_name.empty()) {
      line["sessionName"] = cut(call.caller.signer->session_name);
    }
  } else if (!call.caller.peer.principal.empty()) {
    line["principal"] = cut(call.caller.peer.principal);
  }
  line["sourceIp"] = call.caller.peer.source_ip;
  line["userAgent"] = cut(call.user_agent);
  line["operation"] = call.operation;
  json::array resources;
  for (const std::string& resource :
       call.resources.first(std::min(call.resources.size(), kResourcesMax))) {
    resources.emplace_back(cut(resource));
  }
  line["resources"] = std::move(resources);
  line["status"] = call.status;
  if (!call.error.empty()) {
    line["error"] = call.error;
  }
  return to_json(line) + "\n";
}

void AuditLog::record(const gateway::CallRecordView& call) {
  const std::string line = line_of(call);
  const std::lock_guard lock(mutex_);
  if (bytes_ + line.size() > bytes_max_ && bytes_ > 0) {
    std::error_code error;
    std::filesystem::rename(file_, file_.string() + ".1", error);
    if (auto opened = open_file(); !opened) {
      log(LogLevel::kError, "audit.failed", {{"why", opened.error().message()}});
    }
  }
  // One write, so that a line is whole or not there.
  if (::write(descriptor_, line.data(), line.size()) == static_cast<ssize_t>(line.size())) {
    bytes_ += line.size();
  } else {
    lost_.add_shared();
    log(LogLevel::kError, "audit.failed", {{"why", std::strerror(errno)}});
  }
}

}  // namespace iotcore::server
