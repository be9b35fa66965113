#pragma once

#include "base/json.h"
#include "rules/actions/append_file.h"
#include "rules/sink.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::actions {

// The fields of a record of `file`, and the formats.
enum FileField : std::size_t { kFormat, kRotateBytes, kFileFieldCount };

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
  Status rotate();
  // What the record adds to the file; permanent if it can't.
  Outcome append(std::string& out, const Record& record);
  Outcome append_csv(std::string& out, const json::object& row);
  Status read_header();

  AppendFile file_;
  std::vector<std::string> columns_;  // of a csv file
};

}  // namespace iotcore::rules::actions
