#pragma once

#include "proto/record/rules.pb.h"

#include <span>
#include <string>
#include <vector>

namespace iotcore::rules {

// A message for which actions of a rule have failed.
struct FailedMessage {
  record::OutboxMessage message;
  std::vector<record::ActionFailure> failures;
};

// The errorAction's payload (rules-sql.md 16). `failed` has several only where an action sends batches; its batch form says which
// failure concerns which of them.
std::string error_payload(const std::string& rule, std::span<const FailedMessage> failed);

}  // namespace iotcore::rules
