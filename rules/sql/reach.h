#pragma once

#include "rules/sql/code.h"

#include <string>

namespace iotcore::rules::sql {

// Why no message that the statement's filter lets through makes its WHERE true, as far as can be seen without one. Empty: nothing
// speaks against it. A complete answer is impossible; this finds what people write by mistake.
std::string why_never_true(const ProgramData& code);

}  // namespace iotcore::rules::sql
