#pragma once

#include <istream>
#include <string>
#include <string_view>
#include <vector>

// Replays files of test vectors: one JSON object a line, with an `id`.
namespace iotcore::vectors {

class Report {
 public:
  void pass() { ++passed_; }

  // Prints the id with what was expected and what came.
  void fail(std::string_view id, std::string_view expected, std::string_view got);
  // Fails a vector marked `uncertain`: it is our reading, so it is listed and not counted.
  void differ(std::string_view id, std::string_view expected, std::string_view got);

  // A vector that cannot run yet is a failure with a reason.
  void skip(std::string_view id, std::string_view why) { fail(id, "to run", why); }

  // Prints what differs, then "N passed, M failed". The exit status.
  int finish();

 private:
  int passed_ = 0;
  int failed_ = 0;
  std::vector<std::string> differing_;
};

// One per kind; each reads all lines of one file.
void run_rules(std::istream& in, Report& report);
void run_shadow(std::istream& in, Report& report);
void run_policy(std::istream& in, Report& report);

}  // namespace iotcore::vectors
