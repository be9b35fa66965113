#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry::policy {

enum class Verdict : std::uint8_t { kAllowed, kImplicitDeny, kExplicitDeny };

// "ALLOWED", "IMPLICIT_DENY", "EXPLICIT_DENY": the words of TestAuthorization.
std::string_view to_string(Verdict verdict);

// A verdict and the statement that it rests on; an implicit deny rests on none.
struct Decision {
  Verdict verdict = Verdict::kImplicitDeny;
  std::uint16_t policy = 0;     // index into the policy set
  std::uint16_t statement = 0;  // index into the policy's document

  bool allowed() const { return verdict == Verdict::kAllowed; }

  friend bool operator==(const Decision&, const Decision&) = default;
};

// The same at length: TestAuthorization and the log of refusals.
struct Explanation {
  Decision decision;
  std::string policy_name;                  // of the deciding statement
  std::string sid;                          // may be empty
  std::vector<std::string> allowing;        // names of policies with a matching Allow
  std::vector<std::string> denying;         // with a matching Deny
  std::vector<std::string> silent;          // with no matching statement
  std::vector<std::string> missing_values;  // variables and condition keys without value that kept
                                            // a statement from matching
};

}  // namespace iotcore::registry::policy
