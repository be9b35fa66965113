#pragma once

#include "rules/sql/evaluation.h"

#include <string>
#include <string_view>

namespace iotcore::rules::sql {

class CountingRandom final : public Random {
 public:
  std::uint64_t next() override { return state_ += 0x9E3779B97F4A7C15; }

 private:
  std::uint64_t state_ = 0;
};

// What a statement makes of a payload: the text that goes out, "(nothing)", or "error: …".
inline std::string evaluated(
    std::string_view sql,
    std::string_view payload_bytes,
    Version version = Version::k2016_03_23,
    const CompileOptions& options = {},
    const EvaluationLimits& limits = {}
) {
  auto program = compile(sql, version, options);
  if (!program) {
    return "parse error: " + program.error().message();
  }
  MessageView message;
  message.topic = "a/b";
  message.timestamp_ms = 1'700'000'000'123;
  ParsedPayload payload(payload_bytes);
  NoExternalFunctions external;
  CountingRandom random;
  Evaluation evaluation(*program, message, payload, external, random, limits);
  auto output = evaluation.run();
  if (!output) {
    return "error: " + output.error().message();
  }
  return *output ? std::string((*output)->view()) : "(nothing)";
}

}  // namespace iotcore::rules::sql
