#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "proto/record/principals.pb.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::registry {

// What is asked of a certificate before anything else: whether it counts at all.
struct CertificateStanding {
  record::CertificateStatus status = record::INACTIVE;
  std::int64_t not_before_ms = 0;
  std::int64_t not_after_ms = 0;
};

// A detail of errors: automatic registration may change the answer.
inline constexpr std::string_view kMayRegister = "may_register";

CertificateStanding standing_of(const record::Certificate& certificate);

// kNotAuthorized, with the detail "code" (auth.md section 3): not ACTIVE, or out of its time.
Status check_standing(const CertificateStanding& standing, WallTime now);
// The same of a certificate that nobody has registered.
tl::unexpected<Error> certificate_not_registered();

// As the value of a certificate's row in the list by end, which is all that has to be read of a million certificates at start.
std::string standing_to_row(const CertificateStanding& standing);
// Nothing: a row from before there was a value.
std::optional<CertificateStanding> standing_in_row(std::string_view row);

}  // namespace iotcore::registry
