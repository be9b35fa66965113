#pragma once

#include "rules/rule_file.h"
#include "rules/sql/environment.h"

#include <string>
#include <vector>

namespace iotcore::rules {

// How a TEST came out.
struct TestOutcome {
  const FileTest* test = nullptr;
  bool passed = false;
  std::string message;  // what was expected and what came, if it did not pass
};

// Runs every TEST of a file that has no errors against the rules of that file, in the file's order. Time stands still at
// 2023-11-14T22:13:20.000Z and randomness is the same at every run.
std::vector<TestOutcome> run_tests(const RuleFile& file, sql::ExternalFunctions& external);

// Whether the result is as expected: numbers by value, members in any order, anything where `any` points to.
bool matches_expectation(
    const json::value& expected, const std::vector<std::string>& any, const json::value& got
);

}  // namespace iotcore::rules
