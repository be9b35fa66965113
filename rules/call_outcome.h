#pragma once

#include "base/result.h"
#include "net/http_message.h"
#include "rules/sink.h"

namespace iotcore::rules {

// What an answer means for the record that was sent: 2xx is success; 408, 429 and 5xx are worth another try, which Retry-After may put off, unless the answer
// is larger than 16 KiB.
Outcome outcome_of(const Result<net::HttpResponse>& response);

}  // namespace iotcore::rules
