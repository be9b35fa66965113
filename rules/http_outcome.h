#pragma once

#include "net/http_message.h"
#include "rules/sink.h"

#include <string_view>

namespace iotcore::rules {

// What an answer's status says of the records that the request brought: 2xx done; 408, 425, 429 and 5xx again, not before Retry-After; everything else for
// good. `who` stands before the reason, behind which comes the start of the body.
Outcome outcome_of(const net::HttpResponse& response, std::string_view who);
bool is_worth_a_retry(int status);

// What a failed exchange says of them: again.
Outcome outcome_of(const Error& error, std::string_view who);

// Of a call by HttpCaller: what may not be called is for good, and so is, as AWS has it, an error of more than 16 KiB.
Outcome outcome_of_call(const Result<net::HttpResponse>& response);

}  // namespace iotcore::rules
