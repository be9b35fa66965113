#pragma once

#include "tests/conformance/packet.h"

#include <filesystem>
#include <string>
#include <vector>

// The case files (see README.md) and the catalogue of statements that they cover.
namespace iotcore::conformance {

struct Step {
  int line = 0;
  Version version{};  // only in this one; none: in both
  std::string text;
};

struct Case {
  std::string file;  // without folder
  std::string name;
  std::vector<std::string> covers;  // "3:3.1.2-1" or "5:3.1.2-1"
  std::vector<Version> versions;
  std::string pending;  // why it is not run yet
  bool memory_only = false;
  bool alone = false;  // sees the traffic of others
  std::vector<Step> steps;
};

struct Statement {
  std::string id;  // "3:3.1.2-1"
  std::string summary;
  std::string argument;  // why no case is needed, or what else shows it; empty: cases have to
};

// Every file of the folder, in the order of names. Throws for what is not well written.
std::vector<Case> read_cases(const std::filesystem::path& folder);
std::vector<Statement> read_statements(const std::filesystem::path& folder);

}  // namespace iotcore::conformance
