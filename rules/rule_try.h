#pragma once

#include "rules/rule.h"
#include "rules/sql/environment.h"

#include <cstdint>
#include <string>
#include <vector>

namespace iotcore::rules {

// A message that is made up to see what a rule does with it.
struct TestMessage {
  std::string topic;
  std::string payload;
  std::string client_id = "test";
};

// What a rule would do with a message. Nothing is delivered.
struct TriedRule {
  enum class Outcome : std::uint8_t { kOtherTopic, kNotFired, kFailed, kFired };

  struct Action {
    std::string kind;
    std::string resource;  // what would be acted on
    std::string error;     // why it would fail
  };

  Outcome outcome = Outcome::kOtherTopic;
  std::string output;
  bool is_json = true;
  std::string error;
  std::vector<Action> actions;
};

TriedRule try_rule(const Rule& rule, const TestMessage& message, sql::ExternalFunctions& external);

}  // namespace iotcore::rules
