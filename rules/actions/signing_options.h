#pragma once

#include "net/sigv4.h"
#include "rules/member_reader.h"

#include <string>

namespace iotcore::rules::actions {

// Credentials for requests that are signed as AWS wants it: accessKey, secretKey, sessionToken, region.
struct SigningOptions {
  net::SigV4Credentials credentials;
  std::string region;
};

SigningOptions read_signing(MemberReader& members);

}  // namespace iotcore::rules::actions
