#pragma once

#include "base/json.h"
#include "rules/actions/append_file.h"
#include "rules/actions/file_rotation.h"
#include "rules/sink.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::actions {

// The fields of a record of `file`, and the formats.
enum FileField : std::size_t {
  kFormat,
  kRotateBytes,
  kRotateSeconds,
  kCompress,
  kKeep,
  kFileFieldCount
};

inline constexpr std::string_view kJson = "json";
inline constexpr std::string_view kCsv = "csv";
inline constexpr std::string_view kRaw = "raw";

// The sink of `file`: one file that grows, and its predecessors.
class FileWriter final : public Sink {
 public:
  explicit FileWriter(std::filesystem::path path) : file_(std::move(path)) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override;
  Status probe() override;

 private:
  Status ensure_open(bool lines);
  // If it is time. True: there is a new file, still to be opened.
  Result<bool> rotate(const FileRotation& rotation);
  // What the record adds to the file; permanent if it can't.
  Outcome append(std::string& out, const Record& record);
  Outcome append_csv(std::string& out, const json::object& row);
  Status read_header();

  AppendFile file_;
  WallTime written_ = {};             // last
  std::vector<std::string> columns_;  // of a csv file
};

}  // namespace iotcore::rules::actions
