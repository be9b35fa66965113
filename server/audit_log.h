#pragma once

#include "base/clock.h"
#include "base/metrics.h"
#include "base/result.h"
#include "gateway/call_control.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

namespace iotcore::server {

// Who called what on the control plane, on which resources and how it ended: one JSON object a line, appended to a file of mode 600. When the file has
// reached its size it becomes FILE.1, which replaces the one before. Thread-safe.
class AuditLog final : public gateway::CallAudit {
 public:
  static Result<std::unique_ptr<AuditLog>> open(
      std::filesystem::path file,
      std::uint64_t bytes_max,
      std::string account,
      const Clock& clock,
      Metrics& metrics
  );
  ~AuditLog() override;

  void record(const gateway::CallRecordView& call) override;

 private:
  AuditLog(
      std::filesystem::path file,
      std::uint64_t bytes_max,
      std::string account,
      const Clock& clock,
      Metrics& metrics
  );

  Status open_file();
  std::string line_of(const gateway::CallRecordView& call) const;

  const std::filesystem::path file_;
  const std::uint64_t bytes_max_;
  const std::string account_;
  const Clock& clock_;
  Counter& lost_;
  std::mutex mutex_;
  int descriptor_ = -1;
  std::uint64_t bytes_ = 0;
};

}  // namespace iotcore::server
