// What the language of rules does where AWS's documents leave it open, and how much of it.
#include "server/config_key_kinds.h"
#include "server/config_rules.h"

namespace iotcore::server {

std::vector<ConfigKey> rule_language_keys() {
  using C = Config;
  using S = std::string;
  std::vector<ConfigKey> k;
  k.push_back(text_key(
      "rules.sql.logic",
      "What AND and OR do beside Undefined: kleene (true OR Undefined is true, false AND Undefined "
      "is false), strict-undefined (Undefined).",
      [](C& c) -> S& { return c.rules_logic; },
      [](std::string_view t) { return t == "kleene" || t == "strict-undefined"; },
      "kleene or strict-undefined"
  ));
  k.push_back(text_key(
      "rules.sql.int_division",
      "What 7 / 2 is: truncate (3), exact (3.5).",
      [](C& c) -> S& { return c.rules_int_division; },
      [](std::string_view t) { return t == "truncate" || t == "exact"; },
      "truncate or exact"
  ));
  k.push_back(number_key<std::size_t>(
      "rules.limits.rules", "Rules there may be.", [](C & c) -> auto& { return c.rules_max; }, 1
  ));
  k.push_back(number_key<std::uint64_t>(
      "rules.limits.steps",
      "Steps that the evaluation of one rule for one message may take; beyond, it ends.",
      [](C & c) -> auto& { return c.rules_steps_max; },
      1000
  ));
  k.push_back(number_key<std::size_t>(
      "rules.limits.result_bytes",
      "Bytes that one rule may make of one message.",
      [](C & c) -> auto& { return c.rules_result_bytes_max; },
      1024
  ));
  return k;
}

}  // namespace iotcore::server
