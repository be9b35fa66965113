#pragma once

#include "base/clock.h"
#include "rules/actions/append_file.h"
#include "rules/sink.h"

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace iotcore::rules::actions {

// A sink that appends lines to files, which it finds by what is in a record: streams, logs, channels. Each file gets what a batch has for it in one synced
// write. At least once: what was written just before a crash may be there twice, but no line is left half written.
class LineLogSink final : public Sink {
 public:
  // What one record adds.
  struct Lines {
    std::string file;  // below the sink's folder
    std::string text;  // whole lines
  };

  using Format = Outcome (*)(const Record& record, WallTime now, Lines& lines);

  LineLogSink(std::filesystem::path folder, Format format, const Clock& clock)
      : folder_(std::move(folder)), format_(format), clock_(clock) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override;
  Status probe() override;

 private:
  Result<AppendFile*> open(const std::string& name);

  const std::filesystem::path folder_;
  const Format format_;
  const Clock& clock_;
  std::map<std::string, std::unique_ptr<AppendFile>, std::less<>> files_;
};

// "2026-11-23", UTC.
std::string date_of(WallTime time);

// The JSON text as one line.
void append_line(std::string& out, std::string_view json_text);

}  // namespace iotcore::rules::actions
