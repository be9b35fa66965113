#include "rules/sql/program.h"

#include "rules/sql/code.h"

namespace iotcore::rules::sql {

std::optional<Version> parse_version(std::string_view text) {
  for (const Version version : {Version::k2015_10_08, Version::k2016_03_23, Version::kBeta}) {
    if (text == version_text(version)) {
      return version;
    }
  }
  return std::nullopt;
}

std::string_view version_text(Version version) {
  switch (version) {
    case Version::k2015_10_08:
      return "2015-10-08";
    case Version::k2016_03_23:
      return "2016-03-23";
    case Version::kBeta:
      break;
  }
  return "beta";
}

Program::Program(std::unique_ptr<const ProgramData> data) : data_(std::move(data)) {}

Program::Program(Program&&) noexcept = default;

Program& Program::operator=(Program&&) noexcept = default;

Program::~Program() = default;

const std::string& Program::sql() const {
  return data_->text;
}

Version Program::version() const {
  return data_->version;
}

const std::optional<std::string>& Program::topic_filter() const {
  return data_->topic_filter;
}

bool Program::calls_external() const {
  return data_->calls_external;
}

const std::vector<std::string>& Program::payload_paths() const {
  return data_->payload_paths;
}

const std::vector<SourceError>& Program::notes() const {
  return data_->notes;
}

}  // namespace iotcore::rules::sql
