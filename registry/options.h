#pragma once

#include "net/http_caller.h"
#include "registry/arn.h"
#include "registry/limits.h"
#include "registry/pki/certificate_authority.h"

namespace iotcore::registry {

struct Options {
  Account account;
  Limits limits;
  net::HttpRules http;  // where functions may be that the API names by URL: http.allow
  pki::KeyType key_type = pki::KeyType::kRsa2048;  // registry.key_type
};

}  // namespace iotcore::registry
